"""Spend leases, calls that are settled many at a time, and seals."""

from __future__ import annotations

from server.storage.migrations.sql_files import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Runs the revision's SQL files in the order of their names."""
    run(revision)
