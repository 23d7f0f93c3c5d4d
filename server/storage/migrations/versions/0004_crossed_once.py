"""Calls that are remembered by their Idempotency-Key, and charges that are taken back."""

from __future__ import annotations

from server.storage.migrations.sql_files import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Runs the revision's SQL files in the order of their names."""
    run(revision)
