"""What holds for Dockerfile and compose.yaml, besides what their linters know: `./run check image`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tools import dockerfile
from tools.programs import environment

CHECKOUT: Final = Path(__file__).resolve().parent.parent
LINTERS: Final = (["hadolint", "Dockerfile"], ["yamllint", "--strict", "compose.yaml", ".yamllint", ".hadolint.yaml"])
WANTED: Final = ("image", "user", "healthcheck", "read_only", "cap_drop", "security_opt", "restart", "networks")
_VARIABLE: Final = re.compile(r"\$\{([A-Z_]+)(:\?|:-)?")
_OPTIONAL: Final = ("TOLLBRIDGE_TRUSTED_PROXIES",)


def of_dockerfile(text: str) -> Iterator[str]:
    """What is wrong with a Dockerfile."""
    stages = dockerfile.read(text)
    last = stages[-1]
    user = last.last("USER")
    if len(stages) < 2:
        yield "Dockerfile: one stage only; what builds must not be in the image"
    if user is None or user.text.split(":")[0] in {"0", "root"}:
        yield "Dockerfile: the last stage runs as root"
    yield from (f"Dockerfile: {stage.image} has no tag" for stage in stages if not _pinned(stage.image))
    yield from (
        f"Dockerfile: the last stage has no {name}"
        for name in ("HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT")
        if last.last(name) is None
    )
    installs = [step.text for stage in stages for step in stage.instructions if "pip install" in step.text]
    if not installs or any("--require-hashes" not in step for step in installs):
        yield "Dockerfile: packages are installed without --require-hashes"


def of_compose(content: Mapping[str, Any], example: str) -> Iterator[str]:
    """What is wrong with a compose file; `example` is the text of .env.example."""
    for name, service in content["services"].items():
        yield from (f"compose.yaml: {name} has no {key}" for key in WANTED if key not in service)
        if not _pinned(service.get("image", "")):
            yield f"compose.yaml: {name}'s image has no tag"
        if service.get("read_only") is not True or service.get("cap_drop") != ["ALL"]:
            yield f"compose.yaml: {name} may write to its root file system, or keeps capabilities"
        if str(service.get("user", "0")).split(":")[0] in {"0", "root"}:
            yield f"compose.yaml: {name} runs as root"
        yield from (f"compose.yaml: {name} waits for {other}, which is no service" for other in _missing(name, content))
    for variable, kind in _VARIABLE.findall(str(content)):
        if not kind:
            yield f"compose.yaml: ${variable} may be empty without a word"
        if variable not in _OPTIONAL and f"\n{variable}=" not in example:
            yield f".env.example: {variable} is missing"


def _missing(name: str, content: Mapping[str, Any]) -> list[str]:
    return [other for other in content["services"][name].get("depends_on", {}) if other not in content["services"]]


def _pinned(image: str) -> bool:
    return ":" in image and not image.endswith(":latest")


def main() -> int:
    """Prints what is wrong; 1 where something is."""
    failed = False
    for command in LINTERS:
        failed |= subprocess.run(command, cwd=CHECKOUT, env=environment(), check=False).returncode != 0
    compose: Mapping[str, Any] = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
    faults = [
        *of_dockerfile((CHECKOUT / "Dockerfile").read_text()),
        *of_compose(compose, (CHECKOUT / ".env.example").read_text()),
    ]
    for fault in faults:
        print(fault)
    return 1 if failed or faults else 0


if __name__ == "__main__":
    sys.exit(main())
