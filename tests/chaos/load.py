"""Lanes of clients that call without a pause, each with keys of its own, and the money that they spend."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from tests.chaos.clients import Client
from tests.chaos.transcript import Call, Outcome
from tests.support.provider_double import Ending, Opening, Refusal, Script, Usage

PAUSE_SECONDS: Final = 0.02
FAILED_PAUSE_SECONDS: Final = 0.2
_LONGEST_WAIT_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Payer:
    """An organization that pays for calls of one model."""

    organization_id: str
    model: str
    keys: Sequence[tuple[str, str]]
    """Id and secret. A lane goes round among its own, so that a call that is admitted late is still told from the
    next one of its lane."""


class Lane:
    """One client after the other, one call at a time."""

    def __init__(self, name: str, client: Client, payer: Payer, chance: random.Random, *, whole: bool) -> None:
        """`whole`: the client asks for whole answers, not for streams."""
        self._whole = whole
        self._name = name
        self._client = client
        self._payer = payer
        self._chance = chance
        self.calls: list[Call] = []

    async def run(self, scripts: dict[str, Script], stop: asyncio.Event) -> None:
        """Calls until `stop`; each script is known to the provider by the call's label."""
        number = 0
        while not stop.is_set():
            key_id, secret = self._payer.keys[number % len(self._payer.keys)]
            script, leave_after = plan(self._chance)
            if self._whole:
                # What a whole answer without usage costs is counted by a real vocabulary, which has other tokens.
                script = replace(script, usage=Usage.HONEST)
            call = Call(
                f"{self._name} {number}", self._payer.organization_id, key_id, script, leave_after, datetime.now(UTC)
            )
            scripts[call.label] = script
            self.calls.append(call)
            await self._client(call, self._payer.model, secret)
            number += 1
            failed = call.outcome in {Outcome.REFUSED, Outcome.BROKEN}
            least = FAILED_PAUSE_SECONDS if failed else PAUSE_SECONDS
            await asyncio.sleep(min(max(call.retry_after, least), _LONGEST_WAIT_SECONDS))


def plan(chance: random.Random) -> tuple[Script, int | None]:
    """What the provider does with one call, and after how many tokens its client leaves."""
    tokens, interval = chance.randint(1, 120), chance.choice((0.0, 0.002, 0.005, 0.01, 0.02))
    draw = chance.random()
    if draw < 0.15:
        return Script(tokens=tokens, interval=interval), chance.randint(0, tokens)
    if draw < 0.20:
        return Script(tokens=tokens, interval=interval, ending=Ending.RESET), None
    if draw < 0.23:
        return Script(tokens=tokens, interval=interval, ending=Ending.CUT), None
    if draw < 0.28:
        return Script(tokens=tokens, interval=interval, usage=Usage.MISSING), None
    if draw < 0.31:
        return Script(tokens=tokens, refusal=Refusal.broken()), None
    if draw < 0.33:
        return Script(tokens=tokens, opening=Opening.RESET), None
    if draw < 0.40:
        return Script(tokens=tokens, interval=interval, delay=chance.uniform(0.05, 0.5)), None
    return Script(tokens=tokens, interval=interval), None


def label_of(body: Mapping[str, Any]) -> str:
    """The label of the call whose body came to the provider."""
    label: str = body["messages"][0]["content"]
    return label
