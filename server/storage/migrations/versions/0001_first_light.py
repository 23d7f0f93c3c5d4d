"""Organizations, people, keys, models, plans, ledger and usage."""

from __future__ import annotations

from server.storage.migrations.sql_files import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Runs the revision's SQL files in the order of their names."""
    run(revision)
