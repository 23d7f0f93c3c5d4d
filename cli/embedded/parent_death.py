"""Ties the life of a child process to that of its parent, on Linux."""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1

# Loaded here, not between fork and exec, where an import lock held by another thread would hang the child.
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid: int, death_signal: signal.Signals) -> None:
    """Has the kernel send `death_signal` to this process when the thread that forked it ends (prctl(2)).

    To be called in the child, last before exec: a change of user clears it. Elsewhere than on Linux it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    if _libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        # The parent died before the line above; nobody would send the signal any more.
        os._exit(1)
