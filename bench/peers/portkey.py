"""Portkey's gateway on Node.js, as its documentation starts it: no keys of its own, told by headers where to go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.child import running
from bench.peers.scratch import find, free_port, install, wait_until_ready
from bench.scenarios import PACES
from bench.targets import Target, made_up_keys

NAME: Final = "Portkey"
PACKAGE: Final = "@portkey-ai/gateway"
VERSION: Final = "1.15.2"
_OVERRIDES: Final = {"@hono/node-server": "1.3.3"}
"""The least that it asks for; with the newest that it accepts it answers every stream with 500."""


@contextmanager
def started(folder: Path, ports: Mapping[str, int], core: int) -> Iterator[Target]:
    """Installs it with npm, none of its scripts run, and starts it. Raises ProgramFailed."""
    node, npm = find("node"), find("npm")
    (folder / "package.json").write_text(json.dumps({"private": True, "overrides": _OVERRIDES}))
    install([npm, "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", f"{PACKAGE}@{VERSION}"])
    server = folder / "node_modules" / PACKAGE / "build" / "start-server.js"
    log, port = folder / "portkey.log", free_port()
    with (
        log.open("wb") as output,
        running([node, server, f"--port={port}", "--headless"], core=core, log=output, reads_stdout=False) as process,
    ):
        wait_until_ready(process, port, "/", log)
        keys = made_up_keys(folder)
        headers = {pace: _headers(ports[pace]) for pace in PACES}
        yield Target(NAME, dict.fromkeys(PACES, port), keys, root=process.pid, foreign=True, headers=headers)


def _headers(upstream_port: int) -> tuple[str, ...]:
    return "x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{upstream_port}/v1"
