"""Whether JOURNAL_DIR can be written, told before anything is started."""

from __future__ import annotations

import tempfile
from pathlib import Path

from server.config import SettingsError


def check(folder: Path | None) -> None:
    """Makes the folder that JOURNAL_DIR names and writes to it. Raises `SettingsError` where that is refused."""
    if folder is None:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"journal")
    except OSError as error:
        raise SettingsError(f"JOURNAL_DIR: {folder} cannot be written ({error.strerror}).") from error
