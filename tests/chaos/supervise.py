"""The supervisor as it is, but it never tires: what is killed again and again is started again at once."""

import os
import signal
import sys
from typing import Final
from unittest import mock

from cli.embedded.parent_death import die_with_parent
from cli.supervisor import back_off, workers
from cli.supervisor.__main__ import main

LONGEST_WAIT_SECONDS: Final = 0.3

if __name__ == "__main__":
    # Should the test be killed, nothing stays behind.
    die_with_parent(os.getppid(), signal.SIGTERM)
    with (
        mock.patch.object(back_off, "LONGEST_SECONDS", LONGEST_WAIT_SECONDS),
        mock.patch.object(workers, "FAILED_STARTS_ALLOWED", sys.maxsize),
    ):
        sys.exit(main())
