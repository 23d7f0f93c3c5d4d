"""Usage as providers report it, in five disjoint classes: see golden/usage.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.chat.usage_report import UnusableUsageError, read_usage

_CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "golden" / "usage.json").read_text())


@pytest.mark.parametrize("case", _CASES, ids=[case["name"] for case in _CASES])
def test_usage_is_normalised(case: dict[str, Any]) -> None:
    raw = json.dumps(case["usage"]).encode()
    if case["tokens"] is None:
        with pytest.raises(UnusableUsageError):
            read_usage(raw)
        return
    assert list(msgspec.structs.astuple(read_usage(raw))) == case["tokens"]
