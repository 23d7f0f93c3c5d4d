"""Writes the OpenAPI document of a descriptor image: `python -m bridge.openapi IMAGE OUT`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bridge.catalog import Catalog
from bridge.openapi.document import build_document


def main(arguments: list[str]) -> int:
    """Runs the command; 2 for a wrong call."""
    if len(arguments) != 2:
        sys.stderr.write("Usage: python -m bridge.openapi IMAGE OUT\n")
        return 2
    document = build_document(Catalog.from_image(Path(arguments[0]).read_bytes()))
    Path(arguments[1]).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
