"""Judging a run: the provider's record, the clients' transcripts, the usage events and the ledger must agree.

Closed calls: what the provider reported is what was recorded, exactly. Calls that were running when their process was
killed: at least what was delivered but the last 32 tokens, at most what the provider sent, flagged `interrupted`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tests.chaos.books import Event, Money
from tests.chaos.load import label_of
from tests.chaos.transcript import Call, Outcome
from tests.support.provider_double import Party, Request

FORGOTTEN_TOKENS: Final = 32
"""What a kill may make us forget of a running call, at most."""


def judge(
    calls: Sequence[Call], requests: Iterable[Request], events: Iterable[Event], *, on_disk: bool = True
) -> list[str]:
    """What is wrong, a line each. Every call of the keys concerned must be among `calls`.

    Not `on_disk`: journals are in the database, which may have been away when a process was killed. Then what a running
    call had got since it was last noted is forgotten, or that there was a call at all.
    """
    sent: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        sent[label_of(request.json)].append(request)
    recorded, wrong = _by_call(calls, events)
    for call in calls:
        problem = _judge_call(call, sent.get(call.label, []), recorded.get(call.label, []), on_disk=on_disk)
        if problem:
            wrong.append(f"{call.label}: {problem}; {_facts(call, sent.get(call.label, []), recorded[call.label])}")
    return wrong


def lost(calls: Sequence[Call], requests: Iterable[Request], events: Iterable[Event], *, on_disk: bool = True) -> int:
    """How many calls came to the provider or were answered, and have no event, though nothing excuses that."""
    reached = {label_of(request.json) for request in requests}
    recorded, _ = _by_call(calls, events)
    return sum(
        call.label in reached and call.label not in recorded and (on_disk or call.outcome is Outcome.WHOLE)
        for call in calls
    )


def judge_money(credited: Mapping[str, int], events: Iterable[Event], money: Mapping[str, Money]) -> list[str]:
    """What is wrong with the accounts of these organizations, which were credited so many nano-dollars."""
    charged: dict[str, int] = defaultdict(int)
    for event in events:
        charged[event.organization_id] += event.cost
    wrong = []
    for organization, credit in credited.items():
        account = money[organization]
        if account.least < 0:
            wrong.append(f"{organization} is {account.least} below its floor")
        if account.borne:
            wrong.append(f"{organization}: the platform bore {account.borne}")
        if credit - charged[organization] != account.posted:
            wrong.append(f"{organization}: {credit} - {charged[organization]} is not the {account.posted} posted")
    return wrong


def _by_call(calls: Sequence[Call], events: Iterable[Event]) -> tuple[dict[str, list[Event]], list[str]]:
    """Each call's events: those of its key from its beginning until the key's next call began."""
    of_key: dict[str, list[Call]] = defaultdict(list)
    for call in sorted(calls, key=lambda call: call.begun):
        of_key[call.key_id].append(call)
    found: dict[str, list[Event]] = defaultdict(list)
    wrong = []
    for event in events:
        theirs = of_key.get(event.key_id)
        if theirs is None:
            continue
        place = bisect_right(theirs, event.create_time, key=lambda call: call.begun)
        if place == 0:
            wrong.append(f"an event before any call: {event}")
        else:
            found[theirs[place - 1].label].append(event)
    return found, wrong


def _judge_call(call: Call, requests: Sequence[Request], events: Sequence[Event], *, on_disk: bool) -> str:
    """What is wrong with it; empty where nothing is."""
    if not call.in_order:
        return "tokens were left out, doubled or out of order"
    if len(events) > 1:
        return "DOUBLED"
    emitted = sum(_most_emitted(request) for request in requests)
    if call.delivered > emitted:
        return "more was delivered than sent"
    if not events:
        return "LOST" if (requests and on_disk) or call.outcome is Outcome.WHOLE else ""
    return _judge_event(call, requests, events[0], emitted, FORGOTTEN_TOKENS if on_disk else emitted)


def _judge_event(call: Call, requests: Sequence[Request], event: Event, emitted: int, forgotten: int) -> str:
    if event.output > emitted:
        return "more was billed than sent"
    if event.ending == "interrupted":
        if call.outcome is Outcome.WHOLE:
            return "a whole answer is recorded as interrupted"
        if not event.estimated:
            return "an interrupted call is not flagged"
        return "too little was billed" if event.output < call.delivered - forgotten else ""
    if call.outcome is Outcome.WHOLE and event.ending != "complete":
        return "a whole answer is not recorded as one"
    if event.ending == "complete":
        return _judge_whole(requests, event, emitted)
    return "less was billed than delivered" if event.output < call.delivered else ""


def _judge_whole(requests: Sequence[Request], event: Event, emitted: int) -> str:
    reported = [request.reported_usage for request in requests if request.reported_usage is not None]
    if reported:
        usage = reported[-1]
        right = (usage["prompt_tokens"], usage["completion_tokens"]) == (event.input, event.output)
        return "" if right and not event.estimated else "what was billed is not what the provider reported"
    return "" if event.estimated and event.output == emitted else "what was billed is not what came"


def _most_emitted(request: Request) -> int:
    """Tokens that may have reached us: one may have been on its way out when the connection broke."""
    return len(request.tokens) + (request.closed_by is Party.CLIENT)


def _facts(call: Call, requests: Sequence[Request], events: Sequence[Event]) -> str:
    upstream = [
        f"{len(request.tokens)} sent, reported {request.reported_usage}, closed by {request.closed_by}"
        for request in requests
    ]
    return f"{call.outcome.name} after {call.delivered} ({call.words}), {call.script}, upstream {upstream}, {events}"
