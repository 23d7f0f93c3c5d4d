"""${message}."""

from __future__ import annotations

from server.storage.migrations.sql_files import run

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Runs the revision's SQL files in the order of their names."""
    run(revision)
