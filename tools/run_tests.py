"""`./run test [pytest's arguments]`: the checks, then pytest over everything, on every core.

It ends as pytest, so that pytest's closing line is the last thing printed and its status is the task's.
"""

from __future__ import annotations

import os
import sys

from tools import check

AT_ONCE = "2"


def main(arguments: list[str]) -> None:
    """Exits with the checks' status where they fail; otherwise becomes pytest and does not return."""
    failed = check.main([])
    if failed:
        sys.exit(failed)
    sys.stdout.flush()
    os.chdir(check.CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", "-n", AT_ONCE, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
