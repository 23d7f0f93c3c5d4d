"""Answers in a system's own form: the envelope, and errors that name documented fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from bridge.aliases.formats import time_ms
from bridge.aliases.route import Envelope
from bridge.error_body import ErrorAnswer

Now = Callable[[], datetime]

_TOP = re.compile(r"[^\[]+")
"""A field's path up to the first index."""


class ErrorDress:
    """Gives an error a system's form. An envelope stands around every answer, so it is no choice of the client's."""

    def __init__(self, envelope: Envelope | None, names: Mapping[str, str], now: Now) -> None:
        """`names`: the documented name of each field that has another one here."""
        self._envelope = envelope
        self._names = names
        self._now = now

    def __call__(self, answer: ErrorAnswer) -> ErrorAnswer:
        """The same error, in the system's form."""
        try:
            error = orjson.loads(answer.body)["error"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return answer
        self._rename(error)
        body: Any = {"error": error}
        if self._envelope is not None:
            body = self._envelope.failure.render({**error, "time": time_ms(self._now())})
            return replace(answer, body=orjson.dumps(body), problem=None)
        return replace(answer, body=orjson.dumps(body))

    def _rename(self, error: dict[str, Any]) -> None:
        error["param"] = self._documented(error.get("param"))
        for detail in error.get("details") or ():
            for violation in detail.get("field_violations", ()):
                violation["field"] = self._documented(violation.get("field"))

    def _documented(self, field: Any) -> Any:
        """The documented name of a field, which may stand inside one that is renamed."""
        found = _TOP.match(field) if isinstance(field, str) else None
        if found is None:
            return field
        steps = found.group().split(".")
        for length in range(len(steps), 0, -1):
            name = self._names.get(".".join(steps[:length]))
            if name is not None:
                return name + field[len(".".join(steps[:length])) :]
        return field


def wrap(envelope: Envelope, answer: Any, message: str, now: Now) -> Any:
    """A success in its envelope."""
    return envelope.success.render({"answer": answer, "message": message, "time": time_ms(now())})
