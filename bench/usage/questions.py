"""What is asked of the usage service: every list and sum that it has, with and without filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

Ask = Callable[[str], Any]
"""Asks the server for a path and gives the answer's JSON."""

PAGES: Final = 5
"""How far a reader goes on from page to page."""


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that is asked again and again."""

    title: str
    path: str
    items: str = ""
    """The list in the answer that a reader pages through; empty: one answer is all."""

    def ask(self, ask: Ask) -> list[Callable[[], Any]]:
        """What is timed, call by call: the answer, or the first pages of the list."""
        if not self.items:
            return [lambda: ask(self.path)]
        position = {"token": ""}

        def next_page() -> Any:
            separator = "&" if "?" in self.path else "?"
            token = position["token"]
            answer = ask(f"{self.path}{separator}{urlencode({'page_token': token})}" if token else self.path)
            position["token"] = answer["next_page_token"]
            return answer

        return [next_page] * PAGES


def questions(now: datetime, key: str, seldom_key: str, unused_key: str) -> list[Question]:
    """All of them; the keys as callers see their ids."""
    day, month, year = timedelta(days=1), timedelta(days=30), timedelta(days=365)
    half_a_year_ago = now - year / 2
    return [
        Question("today and this month", "/v1/usage/current"),
        Question("30 days", "/v1/usage/daily"),
        Question("366 days", "/v1/usage/daily?page_size=366"),
        Question("12 months", "/v1/usage/monthly"),
        Question("calls, the newest 100", "/v1/usage/history"),
        Question("calls, page by page", "/v1/usage/history", "events"),
        Question("calls, the newest 1,000", "/v1/usage/history?page_size=1000"),
        Question("calls of a day half a year ago", _path("history", _span(half_a_year_ago, half_a_year_ago + day))),
        Question("calls of a model", _path("history", {"model": "model-1"})),
        Question("calls of a model seldom used", _path("history", {"model": "seldom"})),
        Question("calls of a model never used", _path("history", {"model": "never"})),
        Question("calls of a key", _path("history", {"key_id": key})),
        Question("calls of a key seldom used", _path("history", {"key_id": seldom_key})),
        Question("calls of a key never used", _path("history", {"key_id": unused_key})),
        Question("calls of a key with a model", _path("history", {"key_id": key, "model": "model-1"})),
        Question("calls of a key with a model never used", _path("history", {"key_id": key, "model": "never"})),
        Question("sums over 30 days", "/v1/usage/stats"),
        Question("sums over a day", _path("stats", _span(now - day, now))),
        Question("sums over 30 days half a year ago", _path("stats", _span(half_a_year_ago, half_a_year_ago + month))),
        Question("sums over a year", _path("stats", _span(now - year, now))),
    ]


def _span(start: datetime, end: datetime) -> dict[str, str]:
    return {"start_time": start.isoformat(), "end_time": end.isoformat()}


def _path(name: str, parameters: dict[str, str]) -> str:
    return f"/v1/usage/{name}?{urlencode(parameters)}"
