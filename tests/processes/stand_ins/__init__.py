"""Small stand-ins for the children that do the supervisor's work, each a module to run.

They keep the real children's side of the contract and nothing else. Variables make them misbehave: STAND_IN_CHECK and
STAND_IN_PREPARE hold a sentence to fail with; STAND_IN_WORKER is `crash` (never serves) or `stubborn` (stays through
SIGTERM).
"""

import os
import sys

SECRETS = {"api_key": "tb_live_made_up", "admin_email": "admin@localhost", "admin_password": "made-up-once"}


def fail_if_told(variable: str) -> None:
    """Ends the process with the sentence in `variable`, if there is one."""
    sentence = os.environ.get(variable)
    if sentence:
        sys.stderr.write(sentence + "\n")
        raise SystemExit(3)
