"""`python -m cli.supervisor`: what `tollbridge serve` turns into; its options are in TOLLBRIDGE_SERVE."""

import os
import sys

from cli.supervisor.options import VARIABLE, ServeOptions
from cli.supervisor.supervisor import Supervisor


def main() -> int:
    """Runs one supervisor and returns its exit status."""
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        sys.stderr.write("tollbridge: start this with `tollbridge serve`.\n")
        return 2
    return Supervisor(ServeOptions.from_json(text)).run()


if __name__ == "__main__":
    sys.exit(main())
