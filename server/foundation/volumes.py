"""What kind of disk a folder is on, as far as Linux tells."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
_FLEETING: Final = frozenset({"overlay", "aufs", "tmpfs", "ramfs"})
"""File systems that go with their container, or with the machine's power."""


def fleeting(folder: Path, mounts: Path = _MOUNTS) -> str:
    """The file system's name where it does not outlive its container; empty where it does, or nobody knows."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    inside = {part.as_posix() for part in (folder, *folder.parents)}
    # Fields of proc(5): the fifth is the mount point, the first one after " - " the file system. The last mount of the
    # longest path counts.
    longest, found = 0, ""
    for line in lines:
        point, kind = line.split(" ")[4].replace("\\040", " "), line.partition(" - ")[2].split(" ")[0]
        if point in inside and len(point) >= longest:
            longest, found = len(point), kind
    return found if found in _FLEETING else ""
