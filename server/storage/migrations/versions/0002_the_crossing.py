"""What many processes, completed sign-in and completed keys need."""

from __future__ import annotations

from server.storage.migrations.sql_files import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Runs the revision's SQL files in the order of their names."""
    run(revision)
