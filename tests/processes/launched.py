"""`python -m tests.processes.launched postgres|valkey FOLDER`: a launcher in a process that a test can kill.

Prints one JSON object once the server answers, and stops it when the standard input ends.
"""

import json
import sys
from pathlib import Path

from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.valkey import EmbeddedValkey


def main(kind: str, folder: Path) -> None:
    """Starts the server, says where it is, waits, and stops it."""
    if kind == "postgres":
        postgres = EmbeddedPostgres(folder)
        postgres.start()
        url, pid, stop = postgres.dsn("postgres", "postgres"), postgres.pid, postgres.stop
    else:
        valkey = EmbeddedValkey(folder)
        valkey.start()
        url, pid, stop = valkey.url, valkey.pid, valkey.stop
    sys.stdout.write(json.dumps({"url": url, "pid": pid}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
