"""Under kill -9 at random and at named points nothing is lost, doubled or overspent: `./run chaos` in short."""

from __future__ import annotations

import random
from typing import Final

from server.foundation.crash_points import POINTS
from tests.chaos.product import running_product
from tests.chaos.run import Plan, Run
from tests.support.scratch import scratch_folder

_SECONDS: Final = 30
_LEAST_KILLS: Final = 4
"""Where every core is busy a worker takes seconds to start; a machine of its own makes twenty and more."""


async def test_whoever_is_killed_and_wherever_the_four_oracles_agree() -> None:
    seed = random.randrange(10**6)
    points = random.Random(seed).sample(POINTS, len(POINTS))
    plan = Plan(seed, seconds=_SECONDS, kills=len(POINTS) + 2, pause=3.0, points=points, lanes=1)
    with scratch_folder() as folder, running_product(folder) as product:
        report = await Run(product, plan).run()
    print("\n".join(report.lines()))
    assert report.wrong == []
    assert report.kills >= _LEAST_KILLS
    assert report.outcomes["whole"] > 0
