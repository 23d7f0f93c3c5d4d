"""A user namespace in which root is somebody else. Run as a program it tries one, and ends with 0 where that works.

It imports next to nothing, so that trying is quick: `python -I -S user_namespace.py`.
"""

import ctypes
import os
import subprocess
import sys
from typing import Final

NAMESPACE_ID: Final = 65534
"""The kernel's overflow id: what a namespace shows for an id that it does not map."""

_CLONE_NEWUSER: Final = 0x10000000


def enter() -> None:
    """Moves the calling process, which has one thread, into a namespace of its own. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    for name, line in (
        ("setgroups", b"deny"),
        ("uid_map", b"%d 0 1" % NAMESPACE_ID),
        ("gid_map", b"%d 0 1" % NAMESPACE_ID),
    ):
        file = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(file, line)
        os.close(file)


def hindrance() -> str:
    """Why no namespace can be had, in the system's words; empty where one can.

    Tried in a program of its own: a fork of a process whose threads are busy, with gRPC for instance, may die of that.
    """
    tried = subprocess.run([sys.executable, "-I", "-S", __file__], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return ""
    return tried.stderr.strip().rpartition("\n")[2] or f"status {tried.returncode}"


if __name__ == "__main__":
    enter()
