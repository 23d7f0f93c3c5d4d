"""`python -m tests.chaos.serve …`: the command line as it is, which becomes `tests.chaos.supervise`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NoReturn
from unittest import mock

from cli.main import main


def _become(real: partial[NoReturn], program: str, command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    real(program, [*command[:-1], "tests.chaos.supervise"], environment)
    raise AssertionError("exec does not return")


if __name__ == "__main__":
    with mock.patch.object(os, "execve", partial(_become, partial(os.execve))):
        main()
