"""Small stand-ins for the children that do the supervisor's work, each a module to run.

They keep the real children's side of the contract and nothing else. Variables make them misbehave: STAND_IN_CHECK and
STAND_IN_PREPARE hold a sentence to fail with; STAND_IN_WORKER is `crash` (never serves) or `stubborn` (stays through
SIGTERM). `@` and a path instead: what that file holds at the time, if it is there.
"""

import os
import sys
from pathlib import Path

SECRETS = {"api_key": "tb_live_made_up", "admin_email": "admin@localhost", "admin_password": "made-up-once"}


def told(variable: str) -> str:
    """What a variable tells this stand-in to do; empty where nothing."""
    text = os.environ.get(variable, "")
    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    return path.read_text() if path.exists() else ""


def fail_if_told(variable: str) -> None:
    """Ends the process with the sentence in `variable`, if there is one."""
    sentence = told(variable)
    if sentence:
        sys.stderr.write(sentence + "\n")
        raise SystemExit(3)
