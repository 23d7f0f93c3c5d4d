"""Lists the tasks of `./run`, from pyproject.toml. Standard library only: it works before anything is installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def listing(pyproject: Path) -> str:
    """One line a task: its name and its help text, in the order in which pyproject.toml has them."""
    tasks = tomllib.loads(pyproject.read_text("utf-8"))["tool"]["poe"]["tasks"]
    width = max(map(len, tasks))
    lines = [f"  {name:<{width}}  {task['help']}" for name, task in tasks.items()]
    return "\n".join(["usage: ./run TASK [arguments]", "", *lines])


if __name__ == "__main__":
    print(listing(CHECKOUT / "pyproject.toml"))
