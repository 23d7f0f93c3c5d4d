"""Exits with 0 where the process of this container is ready: the image's health check.

A script of the standard library alone, since it is started every few seconds: `python -I -S cli/healthy.py [URL]`.
"""

import os
import ssl
import sys
import urllib.request

DEFAULT = "http://127.0.0.1:9090/health/ready"
SECONDS = 4.0


def main() -> int:
    """0 for an answer of 200 at the first argument, else at TOLLBRIDGE_HEALTH_URL."""
    url = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TOLLBRIDGE_HEALTH_URL", DEFAULT)
    # Our own certificate, which need not carry this name: what is asked is whether we answer, not who we are.
    context = ssl._create_unverified_context()  # noqa: S323
    try:
        with urllib.request.urlopen(url, timeout=SECONDS, context=context) as answer:  # noqa: S310 - ours
            return 0 if answer.status == 200 else 1
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
