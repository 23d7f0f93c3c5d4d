"""Makes the harness known to pytest and decides whether browser tests can run."""

from __future__ import annotations

import pytest

from tests.support.browser import find_chromium

pytest_plugins = ["tests.support.fixtures"]

NOT_RUN = "browser tests: not run, no Chromium was found (chromium, chromium-browser or google-chrome on PATH)"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves browser tests out where there is no browser; the summary says so."""
    if find_chromium() is not None:
        return
    browser = [item for item in items if item.get_closest_marker("browser")]
    if not browser:
        return
    items[:] = [item for item in items if item not in browser]
    config.hook.pytest_deselected(items=browser)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line above pytest's closing line, so that a run without a browser is not mistaken for a full one."""
    if find_chromium() is None:
        terminalreporter.write_line(NOT_RUN)
