"""Checks the settings and the config file before anything is started: `python -m cli.check`.

Prints one line for each problem on standard error and exits with 2.
"""

from __future__ import annotations

import os
import sys

from cli import alias_files, journal_folder
from cli.alias_files import AliasError
from cli.embedded.model import MODEL_NAME
from cli.launch import Launch
from cli.tls.certificate import TlsError
from cli.tls.live_certificate import read_pair
from server import config
from server.models import config_file, known
from server.models.config_errors import ConfigFileError


def main() -> int:
    """0 where everything can be started with."""
    launch = Launch.from_environment()
    try:
        settings = config.load()
        journal_folder.check(settings.journal_dir)
        alias_files.check(settings.aliases)
        read_pair(launch.tls_cert, launch.tls_key)
        if launch.config_file is not None:
            config_file.read(launch.config_file, os.environ, lambda _name: known.NOTHING, (MODEL_NAME,))
    except (config.SettingsError, ConfigFileError, TlsError, AliasError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
