"""Makes everything in `generated/` from the protos, or (`--check`) says how it differs from what is committed.

Everything is made in a temporary folder first and only what differs is then written, so that a failure leaves the
tree as it was and `--check` never touches it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.programs import environment

CHECKOUT = Path(__file__).resolve().parent.parent
DESCRIPTORS = "descriptors.binpb"
OPENAPI = "openapi.json"


def generate(into: Path) -> Path:
    """Generates the whole folder as INTO/generated and returns it.

    It holds the Python modules and stubs, the descriptors with their comments (an image of buf's, which every protobuf
    library reads as a FileDescriptorSet) and the OpenAPI document. Raises CalledProcessError where a generator fails.
    """
    folder = into / "generated"
    execute(["buf", "generate", "--output", str(into)])
    execute(["buf", "build", "--output", str(folder / DESCRIPTORS)])
    execute([sys.executable, "-m", "bridge.openapi", str(folder / DESCRIPTORS), str(folder / OPENAPI)], folder)
    return folder


def execute(command: list[str], modules: Path | None = None) -> None:
    """Runs a generator in the checkout. `modules` is preferred to the committed generated modules."""
    search = {"PYTHONPATH": str(modules)} if modules else {}
    subprocess.run(command, cwd=CHECKOUT, env={**environment(), **search}, check=True)


def contents(folder: Path) -> dict[str, bytes]:
    """Every generated file below a folder, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def differences(made: dict[str, bytes], present: dict[str, bytes]) -> list[str]:
    """The relative paths that are missing, superfluous or different, in order."""
    return sorted(name for name in made.keys() | present.keys() if made.get(name) != present.get(name))


def replace(folder: Path, made: dict[str, bytes], changed: list[str]) -> None:
    """Brings the changed files of a folder to what was made; files that were not made are removed."""
    for name in changed:
        path = folder / name
        if name not in made:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made[name])


def main(arguments: list[str]) -> int:
    target = CHECKOUT / "generated"
    with tempfile.TemporaryDirectory() as temporary:
        made = contents(generate(Path(temporary)))
    changed = differences(made, contents(target))
    if "--check" not in arguments:
        replace(target, made, changed)
        print(f"{len(made)} files, {len(changed)} of them changed")
        return 0
    for name in changed:
        print(f"generated/{name} is not what the protos give; run ./run generate")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
