"""Everything that can be said about the code without running it: `./run check [STEP…]`.

Steps are independent, run two at a time and each say whether they passed; what failed is shown with its output, and
one failure fails the whole. The tree is left as it is.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tools.programs import environment

CHECKOUT = Path(__file__).resolve().parent.parent
RELEASED = "proto/released.binpb"
SDK = str(CHECKOUT / "sdk")
"""Where the layers' step finds the SDK, a distribution that is not installed here."""
AT_ONCE = 2

# The longest come first, so that the short ones fill the gaps.
STEPS: dict[str, list[str]] = {
    "types": [sys.executable, "-m", "mypy"],
    "generated": [sys.executable, "-m", "tools.generate", "--check"],
    "layers": ["lint-imports", "--no-logo"],
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "image": [sys.executable, "-m", "tools.image_rules"],
    "proto-lint": ["buf", "lint"],
    "proto-format": ["buf", "format", "proto", "--diff", "--exit-code"],
    "proto-breaking": ["buf", "breaking", "proto", "--against", RELEASED],
}


@dataclass(frozen=True)
class Result:
    """How one step ended: its output is what it printed to either stream, its duration in seconds."""

    name: str
    passed: bool
    output: str
    duration: float


def run_step(name: str) -> Result:
    began = time.monotonic()
    ended = subprocess.run(
        STEPS[name],
        cwd=CHECKOUT,
        env={**environment(), "PYTHONPATH": SDK},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    output = ended.stdout.decode("utf-8", "replace").strip()
    return Result(name, ended.returncode == 0, output, time.monotonic() - began)


def show(result: Result) -> None:
    print(f"{'ok    ' if result.passed else 'FAILED'}  {result.name:<15} {result.duration:5.1f} s", flush=True)
    if result.passed:
        return
    print("\n".join(f"        {line}" for line in result.output.splitlines()), flush=True)
    if result.name == "proto-breaking":
        print("        A change that is meant, before its release: ./run release-image", flush=True)


def main(arguments: list[str]) -> int:
    unknown = [name for name in arguments if name not in STEPS]
    if unknown:
        print(f"check: no step {', '.join(unknown)}; there are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    chosen = [name for name in STEPS if not arguments or name in arguments]
    failed: list[str] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for finished in as_completed([pool.submit(run_step, name) for name in chosen]):
            result = finished.result()
            show(result)
            if not result.passed:
                failed.append(result.name)
    if failed:
        print(f"check: {', '.join(sorted(failed))} failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
