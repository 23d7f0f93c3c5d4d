"""Links lead somewhere, decisions keep their form, and promises name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.checkout import CHECKOUT, DECISIONS, documents, prose

DECISION_FILES = sorted(DECISIONS.glob("0*.md"))
PARTS = ["## Context", "## Decision", "## Consequences", "## Measured"]


def by_name(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix()


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", documents(), ids=by_name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        linked = (document.parent / name).resolve() if name else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("document", documents(), ids=by_name)
def test_every_file_that_is_named_is_there(document: Path) -> None:
    folders = "bench|bridge|cli|docs|generated|proto|requirements|server|tests|third_party|tools"
    for named in re.findall(rf"`((?:{folders})/[\w./-]*[\w/])", prose(document)):
        assert (CHECKOUT / named).exists(), named


@pytest.mark.parametrize("decision", DECISION_FILES, ids=by_name)
def test_a_decision_is_short_and_says_what_all_decisions_say(decision: Path) -> None:
    lines = decision.read_text("utf-8").splitlines()
    assert len(lines) <= 45
    assert lines[0].startswith(f"# {int(decision.name[:4])}. ")
    assert [line for line in lines if line.startswith("## ")] == PARTS


def test_the_index_lists_every_decision_with_its_title() -> None:
    index = (DECISIONS / "README.md").read_text("utf-8")
    for decision in DECISION_FILES:
        number, title = decision.read_text("utf-8").splitlines()[0].removeprefix("# ").split(". ", 1)
        assert f"| {number} | [{title}]({decision.name}) |" in index


def test_every_promise_names_a_test_that_exists() -> None:
    guarantees = CHECKOUT / "docs" / "guarantees.md"
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", guarantees.read_text("utf-8"))
    assert named
    for path, function in named:
        file = CHECKOUT / path
        assert file.exists(), path
        assert not function or f"def {function}(" in file.read_text("utf-8"), f"{path}::{function}"
