"""`./run chaos [--seconds 600] [--kills 120] [--long] [--seed N] [--journal database]`: minutes of chaos, then the
judgement."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from server.foundation.crash_points import POINTS
from tests.chaos.product import running_product
from tests.chaos.run import Plan, Run

PAUSE_SECONDS: Final = 2.5
LONG_KILLS: Final = 1000
LONG_SECONDS: Final = 3 * 3600.0
_EVERY_POINT: Final = 20


def main(arguments: list[str]) -> int:
    """0 where nothing is wrong and there were kills enough."""
    options = _parse(arguments)
    kills = LONG_KILLS if options.long else options.kills
    points = [point for point in POINTS for _ in range(_EVERY_POINT)] if options.long else POINTS
    seconds = LONG_SECONDS if options.long else options.seconds
    plan = Plan(options.seed, seconds, kills if options.long else sys.maxsize, options.pause, points)
    print(f"seed {options.seed}: trouble for {seconds:.0f} s, at least {kills} kills", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="tollbridge-chaos-"))
    folder.chmod(0o755)
    with running_product(folder, JOURNAL=options.journal) as product:
        report = asyncio.run(Run(product, plan, lambda line: print(line, flush=True)).run())
    print("\n".join(report.lines()))
    if report.wrong:
        print(f"what it left is in {folder}")
        return 1
    shutil.rmtree(folder)
    if report.kills < kills:
        print(f"only {report.kills} kills of {kills}: the machine was too slow")
        return 1
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run chaos", description="Kills workers under load, then judges the books.")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long trouble lasts (default 600)")
    parser.add_argument("--kills", type=int, default=120, help="how many kills there must be (default 120)")
    parser.add_argument("--long", action="store_true", help="until 1,000 kills, 20 at every named point")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="makes choices the same again")
    parser.add_argument("--journal", choices=("disk", "database"), default="disk", help="where workers keep theirs")
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS, help="mean seconds between two kills")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
