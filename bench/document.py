"""The JSON file of all figures. Each kind of measurement has a section, and replaces its own only."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    """The sections so far; none where there is no file yet, or an unreadable one of an earlier version."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def update(path: Path, sections: dict[str, object]) -> None:
    """Writes these sections beside the others, and the machine that they were measured on."""
    document = {**read(path), "machine": machine(), **sections}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def machine() -> dict[str, object]:
    """Where this runs."""
    return {
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def processor() -> str:
    """The processor's name as Linux has it; empty where it has none."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return ""
