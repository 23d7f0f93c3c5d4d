"""Makes `generated/`, the SDK's generated half and the page of the alias files, or (`--check`) says how they differ
from what is committed.

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
ALIASES_PAGE = "docs/aliases.md"
"""The page of the alias files, in a folder that is written by hand otherwise."""
FOLDERS = ("generated", "sdk/tollbridge_sdk/_generated", "sdk/tollbridge_sdk/messages")
"""Folders with nothing in them but what is generated."""


def generate(into: Path) -> None:
    """Generates every folder of FOLDERS, and the page, below INTO.

    `generated` holds the Python modules and stubs, the descriptors with their comments (an image of buf's, which every
    protobuf library reads as a FileDescriptorSet) and the OpenAPI document. Raises CalledProcessError where a generator
    fails.
    """
    folder = into / "generated"
    execute(["buf", "generate", "--output", str(into)])
    # Type checkers read the types of an installed package only with this file in it.
    (folder / "tollbridge" / "py.typed").touch()
    execute(["buf", "generate", "--template", "buf.gen.sdk.yaml", "--output", str(into)], folder)
    execute(["buf", "build", "--output", str(folder / DESCRIPTORS)])
    execute([sys.executable, "-m", "bridge.openapi", str(folder / DESCRIPTORS), str(folder / OPENAPI)], folder)
    page = into / ALIASES_PAGE
    page.parent.mkdir()
    execute([sys.executable, "-m", "bridge.aliases.document", str(folder / DESCRIPTORS), str(page)], folder)


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
    with tempfile.TemporaryDirectory() as temporary:
        generate(Path(temporary))
        made = {name: contents(Path(temporary, name)) for name in FOLDERS}
        page = Path(temporary, ALIASES_PAGE).read_bytes()
    present = CHECKOUT / ALIASES_PAGE
    page_changed = not present.exists() or present.read_bytes() != page
    changed = {name: differences(made[name], contents(CHECKOUT / name)) for name in FOLDERS}
    if "--check" not in arguments:
        for name in FOLDERS:
            replace(CHECKOUT / name, made[name], changed[name])
        if page_changed:
            present.parent.mkdir(exist_ok=True)
            present.write_bytes(page)
        print(f"{sum(map(len, made.values()))} files, {sum(map(len, changed.values()))} of them changed")
        return 0
    for name in FOLDERS:
        for path in changed[name]:
            print(f"{name}/{path} is not what the protos give; run ./run generate")
    if page_changed:
        print(f"{ALIASES_PAGE} is not what the alias files give; run ./run generate")
    return 1 if page_changed or any(changed.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
