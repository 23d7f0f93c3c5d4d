"""What `--aliases` loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bridge.aliases.loader import Aliases
from bridge.aliases.loader import load as load_systems
from bridge.aliases.source import AliasError
from bridge.catalog import Catalog

GENERATED: Final = Path(__file__).resolve().parent.parent / "generated"

__all__ = ["AliasError", "check", "load"]


def load(names: Sequence[str], catalog: Catalog) -> Aliases | None:
    """What the bridge serves beside its own routes; None where nothing was asked for. Raises `AliasError`."""
    return load_systems(names, catalog) if names else None


def check(names: Sequence[str]) -> None:
    """Loads them and forgets them. Raises `AliasError`."""
    if names:
        load_systems(names, Catalog.from_generated((GENERATED / "descriptors.binpb").read_bytes()))
