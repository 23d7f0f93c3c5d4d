"""Makes the login and one row a start; reports the secrets at the first."""

import asyncio
import json
import os

import asyncpg

from cli.launch import Launch
from tests.processes.stand_ins import SECRETS, fail_if_told


def main(launch: Launch) -> None:
    """Counts this start and reports it."""
    fail_if_told("STAND_IN_PREPARE")
    starts = asyncio.run(_count_start(launch))
    assert launch.result_fd is not None
    with os.fdopen(launch.result_fd, "w") as result:
        json.dump({"model": "smollm2-135m", **(SECRETS if starts == 1 else {})}, result)


async def _count_start(launch: Launch) -> int:
    owner = await asyncpg.connect(launch.database_owner_url, timeout=5)
    try:
        if not await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = 'tollbridge'"):
            await owner.execute("CREATE ROLE tollbridge LOGIN")
        await owner.execute("CREATE TABLE IF NOT EXISTS start (at timestamptz DEFAULT now())")
        await owner.execute("GRANT SELECT ON start TO tollbridge")
        await owner.execute("INSERT INTO start DEFAULT VALUES")
    finally:
        await owner.close()
    login = await asyncpg.connect(launch.database_url, timeout=5)
    try:
        return int(await login.fetchval("SELECT count(*) FROM start"))
    finally:
        await login.close()


if __name__ == "__main__":
    main(Launch.from_environment())
