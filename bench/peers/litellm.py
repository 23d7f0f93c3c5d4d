"""LiteLLM's proxy, as its documentation starts it: one worker, one key for all, no database and so no usage."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.child import running
from bench.peers.scratch import free_port, install, wait_until_ready
from bench.scenarios import MODELS, PACES
from bench.targets import Target
from bench.workload import MODEL, write_lines

NAME: Final = "LiteLLM"
PACKAGE: Final = "litellm[proxy]==1.106.2"
_MASTER_KEY: Final = "sk-bench-3f9c1d7e5a2b4860917263544f0e8d6c"
"""It does not start without one."""


@contextmanager
def started(folder: Path, ports: Mapping[str, int], core: int) -> Iterator[Target]:
    """Installs it with pip and starts it. Raises ProgramFailed."""
    environment = folder / "environment"
    install([sys.executable, "-m", "venv", environment])
    install([environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input", PACKAGE])
    config, log, port = folder / "config.yaml", folder / "litellm.log", free_port()
    config.write_text(json.dumps(configuration(ports)))
    command: list[str | Path] = [
        environment / "bin" / "litellm",
        "--config",
        config,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    # It would else fetch a table of prices from elsewhere while it starts.
    settings = {"LITELLM_MASTER_KEY": _MASTER_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with (
        log.open("wb") as output,
        running(
            [*command, "--num_workers", "1"],
            core=core,
            log=output,
            environment=os.environ | settings,
            reads_stdout=False,
        ) as process,
    ):
        wait_until_ready(process, port, "/health/liveliness", log)
        keys = write_lines(folder / "keys", [_MASTER_KEY])
        yield Target(NAME, dict.fromkeys(PACES, port), keys, root=process.pid, foreign=True, models=MODELS)


def configuration(ports: Mapping[str, int]) -> dict[str, object]:
    """One model for each pace. JSON is YAML too."""
    return {
        "model_list": [
            {
                "model_name": model,
                "litellm_params": {
                    "model": f"openai/{MODEL}",
                    "api_base": f"http://127.0.0.1:{ports[pace]}/v1",
                    "api_key": "unused",
                },
            }
            for pace, model in MODELS.items()
        ]
    }
