"""Every row of the inventory of documented calls is served, or listed with the reason why it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from bridge.aliases.route import System
from tests.aliases.conftest import ALIASES

ROWS: Final = {
    "lynxa": ("LX", (1, 2, 3, *range(5, 10), 11, 12, 13, 16, 20, *range(24, 29), 30, 31, *range(34, 40))),
    "knockxprime": ("KX", (1, 3, *range(7, 16), 17, 18, 23, 28, 33, 34)),
    "lightspeedpay": ("LS", (1, 3, 5, 6, 7, 9, 13, 18, 23, 24, 28, 29, 30, 35)),
    "aggregator": ("AA", (1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 15, 17)),
    "launchkit": ("LK", (1, 3, 4, 5, 6, 7, 10, 11, 13, 14, 16, 17, 18)),
}
"""The numbers of each system's rows."""

TOGETHER: Final = {"LX7": ("LX8", "LX9", "LX11")}
"""Rows that are the same call with another body."""

SYSTEMS: Final = ALIASES.systems
TESTS: Final = Path(__file__).parent


def test_every_system_has_a_file_and_a_test() -> None:
    assert {system.name for system in SYSTEMS} == set(ROWS)
    for system in SYSTEMS:
        assert (TESTS / f"test_{system.name}.py").exists()


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_every_row_is_served_or_listed(system: System) -> None:
    prefix, numbers = ROWS[system.name]
    served = {route.row for route in system.routes} | {row.row for row in system.canonical}
    if system.credential is not None:
        served.add(system.credential.row)
    served |= {other for row in served for other in TOGETHER.get(row, ())}
    listed = {row.row for row in system.unserved}
    known = {f"{prefix}{number}" for number in numbers}
    assert known <= served | listed
    assert {row for row in served | listed if row.startswith(prefix)} <= known


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_no_call_is_both_served_and_listed_as_not(system: System) -> None:
    served = {route.call for route in system.routes} | {row.call for row in system.canonical}
    assert not served & {row.call for row in system.unserved}


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_every_served_call_is_sent_by_a_test(system: System) -> None:
    sent = (TESTS / f"test_{system.name}.py").read_text("utf-8")
    for route in system.routes:
        if not route.row.startswith(ROWS[system.name][0]):
            continue  # shared with the system whose row it is
        path = route.path.split("{")[0].rstrip("/")
        assert path in sent, route.call
