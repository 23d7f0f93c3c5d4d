"""`python -m tests.processes.supervise`: the real supervisor over the stand-ins; options come in TOLLBRIDGE_SERVE."""

import os
import sys

from cli.supervisor.options import VARIABLE, Commands, ServeOptions
from cli.supervisor.supervisor import Supervisor


def _stand_in(name: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", f"tests.processes.stand_ins.{name}")


if __name__ == "__main__":
    commands = Commands(check=_stand_in("check"), prepare=_stand_in("prepare"), worker=_stand_in("worker"))
    sys.exit(Supervisor(ServeOptions.from_json(os.environ.pop(VARIABLE)), commands).run())
