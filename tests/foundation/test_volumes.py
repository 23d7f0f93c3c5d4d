"""Which disks outlive a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.foundation.volumes import fleeting

MOUNTS = """\
22 1 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/l
23 22 8:1 /vol /data rw,relatime shared:1 - ext4 /dev/sda1 rw
24 22 0:30 / /run rw,nosuid - tmpfs tmpfs rw
25 23 8:2 / /data/with\\040space rw - xfs /dev/sdb rw
26 22 8:3 / /run rw - ext4 /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/app/data/journal", "overlay"),
        ("/data/journal", ""),
        ("/database", "overlay"),
        ("/data/with space/journal", ""),
        ("/run/journal", ""),
    ],
)
def test_the_last_mount_of_the_longest_path_counts(tmp_path: Path, folder: str, expected: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert fleeting(Path(folder), mounts) == expected


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    assert fleeting(tmp_path, tmp_path / "none") == ""
