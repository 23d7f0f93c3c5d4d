"""Folders of killed runs go, those of living ones stay."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.support.scratch import PREFIX, SETTLED_SECONDS, locked, scratch_folder, sweep


def test_only_folders_that_nobody_uses_are_swept(tmp_path: Path) -> None:
    now = time.time()
    left, used, young, foreign = (
        tmp_path / name for name in (f"{PREFIX}left", f"{PREFIX}used", f"{PREFIX}young", "other")
    )
    for folder in (left, used, young, foreign):
        folder.mkdir()
        os.utime(folder, (now, now - 2 * SETTLED_SECONDS))
    os.utime(young, (now, now))
    with locked(used):
        sweep(tmp_path, now)
    assert sorted(tmp_path.iterdir()) == sorted((used, young, foreign))


def test_a_scratch_folder_is_gone_afterwards() -> None:
    with scratch_folder() as folder:
        (folder / "file").touch()
        assert folder.is_dir()
    assert not folder.exists()
