"""Adds protobuf's own modules, which the repository keeps once for server and SDK, to what is built.

In a checkout they lie in `../generated`; a source distribution carries a copy in `generated`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = ("tollbridge", "buf")
KINDS = {".py", ".pyi", ".typed"}


class GeneratedModules(BuildHookInterface):
    """Called by hatchling for every build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Names the folders to add. Raises FileNotFoundError where they are in neither place."""
        del version
        root = Path(self.root)
        places = [folder for folder in (root.parent / "generated", root / "generated") if folder.is_dir()]
        if not places:
            raise FileNotFoundError(f"{root} has no generated modules beside it; build in a checkout")
        prefix = "generated/" if self.target_name == "sdist" else ""
        for name in MODULES:
            for path in sorted((places[0] / name).rglob("*")):
                if path.suffix in KINDS:
                    relative = path.relative_to(places[0]).as_posix()
                    build_data["force_include"][str(path)] = f"{prefix}{relative}"
