"""The whole product, running: `tollbridge serve` in processes of its own, over a provider double.

Started once for each pytest process and stopped at its end; tests make organizations of their own and so do not see
each other.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.support.provider_double import ProviderDouble

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
NEW_PASSWORD: Final = "a much better password"

UNBOUNDED: Final = {
    "TOLLBRIDGE_DEFAULT_PLAN": "unlimited",
    "TOLLBRIDGE_REQUESTS_PER_ADDRESS": "0",
    "RATE_LIMIT_REQUESTS": "0",
    "TOLLBRIDGE_WRONG_CREDENTIALS_PER_ADDRESS": "1000000",
    "TOLLBRIDGE_TRIAL_KEYS_PER_ADDRESS": "1000000",
}
CONFIG: Final = """
[[providers]]
name = "double"
kind = "openai"
base_url = "{url}"
api_key = "sk-double-secret-key"

[[models]]
name = "gpt-4o-mini"
provider = "double"
input = "0.15"
output = "0.60"

[[models]]
name = "org/renamed"
provider = "double"
upstream = "gpt-4o-mini"
input = "1000"
output = "2000"
context = 4096
max_output = 1024

[[models]]
name = "unpriced"
provider = "double"

[[models]]
name = "costless"
provider = "double"
input = "0"
output = "0"
context = 4096

[[profiles]]
name = "configured-pro"
model = "gpt-4o-mini"
prompt = "I am the configured one."
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A running product."""

    http: str
    """`http://127.0.0.1:PORT`."""
    grpc: str
    """`127.0.0.1:PORT`."""
    api_key: str
    """The first start's key."""
    admin_token: str
    """Access token of the platform's administrator, password changed."""
    data_dir: Path
    pid: int
    provider: ProviderDouble
    log: Path

    def post(self, path: str, body: Mapping[str, Any], token: str = "") -> dict[str, Any]:
        """A REST call that must succeed."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = httpx2.post(self.http + path, json=dict(body), headers=headers, timeout=30)
        assert answer.status_code < 300, answer.text
        found: dict[str, Any] = answer.json()
        return found


def command(data_dir: Path, ready: Path, *more: str, module: str = "cli") -> list[str]:
    """`tollbridge serve` on free ports; `module` is what runs the command line."""
    serve = [sys.executable, "-P", "-m", module, "serve", "--data-dir", str(data_dir), "--ready-file", str(ready)]
    return [*serve, "--http-port", "0", "--grpc-port", "0", *more]


def environment(**changes: str) -> dict[str, str]:
    """Ours, without settings of the product that somebody may have set."""
    ours = ("TOLLBRIDGE_", "DATABASE_", "REDIS_URL", "JWT_SECRET", "BRIDGE_SECRET", "ENVIRONMENT", "HOST", "PORT")
    ours_too = (*ours, "RATE_LIMIT_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours_too)}, **changes}


def wait_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> dict[str, str]:
    """What the ready file says, once it is there."""
    give_up = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            raise AssertionError(f"serve did not become ready ({process.poll()}):\n{log.read_text()[-4000:]}")
        time.sleep(0.05)
    found: dict[str, str] = json.loads(ready.read_text())
    return found


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ends serve as Ctrl-C does; its exit status."""
    process.send_signal(signal.SIGINT)
    return process.wait(STOP_SECONDS)


@contextmanager
def provider_in_thread() -> Iterator[ProviderDouble]:
    """A provider double with an event loop of its own, for as long as many tests."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    double = ProviderDouble()
    asyncio.run_coroutine_threadsafe(double.__aenter__(), loop).result(10)
    try:
        yield double
    finally:
        asyncio.run_coroutine_threadsafe(double.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def running(folder: Path, *options: str, models: str = "", module: str = "cli", **variables: str) -> Iterator[Served]:
    """The product on a fresh data directory below `folder`, with more options of `serve`, models and variables.

    `module` runs the command line, where it is not to be run as it is.
    """
    data_dir, ready, log = folder / "data", folder / "ready.json", folder / "serve.log"
    with provider_in_thread() as double:
        config = folder / "config.toml"
        config.write_text(CONFIG.format(url=double.url) + models)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(data_dir, ready, "--config", str(config), *options, module=module),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Tests make many calls, try many wrong credentials, and many trials, from one address.
                env=environment(**{**UNBOUNDED, **variables}),
            )
        try:
            found = wait_ready(process, ready, log)
            token = _admin_token(found)
            yield Served(found["http"], found["grpc"], found["api_key"], token, data_dir, process.pid, double, log)
        finally:
            assert stop(process) == 0, log.read_text()[-4000:]


def _admin_token(ready: Mapping[str, str]) -> str:
    login = {"email": ready["admin_email"], "password": ready["admin_password"]}
    signed_in = httpx2.post(ready["http"] + "/v1/auth/login", json=login, timeout=30).json()
    assert signed_in["password_change_required"]
    token: str = signed_in["access_token"]
    change = {"current_password": ready["admin_password"], "new_password": NEW_PASSWORD}
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx2.post(ready["http"] + "/v1/auth/password:change", json=change, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return token
