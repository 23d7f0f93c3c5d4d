"""The embedded Valkey, for real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.valkey import EmbeddedValkey
from tests.processes.processes import wait_until_gone


@pytest.mark.parametrize("name", ["valkey", "long" * 30])
async def test_data_survives_a_restart_and_nobody_else_gets_in(folder: Path, name: str) -> None:
    valkey = EmbeddedValkey(folder / name)
    valkey.start()
    try:
        async with Redis.from_url(valkey.url) as client:
            await client.set("kept", "7")
            assert await client.config_get("port") == {"port": "0"}
        socket = Path(valkey.url.removeprefix("unix://"))
        assert socket.parent.stat().st_mode & 0o077 == 0
        assert os.getsid(valkey.pid) == valkey.pid
    finally:
        valkey.stop()
    assert not socket.parent.exists()
    valkey.start()
    try:
        async with Redis.from_url(valkey.url) as client:
            assert await client.get("kept") == b"7"
    finally:
        valkey.stop()
        valkey.stop()


def test_a_killed_launcher_takes_the_server_along_and_the_next_one_starts(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.processes.launched", "valkey", str(folder / "valkey")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as launcher:
        assert launcher.stdout is not None
        server = json.loads(launcher.stdout.readline())["pid"]
        again = EmbeddedValkey(folder / "valkey")
        with pytest.raises(EmbeddedServiceError, match="already in use"):
            again.start()
        launcher.kill()
    try:
        again.start()
        wait_until_gone([server], 0)
    finally:
        again.stop()
