"""Whatever the order of credits, calls, flushes, lost answers, outages, deaths and burials: ledger, leases and journal
together charge each call once, by what a few lines of Python say, and never promise what is not there.

TOLLBRIDGE_MODEL_EXAMPLES=500 (with `-o faulthandler_timeout=0`) tries so many random orders instead of the suite's few,
which are the same each time.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    run_state_machine_as_test,
)

from server.usage import call_book
from tests.billing.books import open_books
from tests.support.databases import TestDatabase
from tests.usage.books_model import BooksMachine

EXAMPLES = int(os.environ.get("TOLLBRIDGE_MODEL_EXAMPLES", "0"))
STEPS = 50


def test_ledger_leases_and_journal_do_what_the_model_does(
    database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = open_books(database)
        books = runner.run(stack.__aenter__())

        class Machine(BooksMachine):
            def __init__(self) -> None:
                super().__init__(runner, books, tmp_path)

        try:
            chosen = settings(
                max_examples=EXAMPLES or 40,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                derandomize=not EXAMPLES,
                # Making a failure small takes minutes: done by those who ask for more.
                phases=tuple(Phase) if EXAMPLES else (Phase.generate,),
                suppress_health_check=list(HealthCheck),
            )
            monkeypatch.setattr(call_book, "_COMMIT_SECONDS", 0.05)
            with structlog.testing.capture_logs():
                run_state_machine_as_test(Machine, settings=chosen)
        finally:
            runner.run(stack.__aexit__(None, None, None))
