"""Runs the SQL files of one revision."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import op

_FOLDER: Final = Path(__file__).parent / "sql"


def run(revision: str) -> None:
    """Executes `sql/<revision>/*.sql` in the order of their names, inside the migration's transaction."""
    for path in sorted((_FOLDER / revision).glob("*.sql")):
        script = path.read_text(encoding="utf-8")
        connection = op.get_bind().connection.dbapi_connection
        assert connection is not None, "Alembic runs with a live connection here"
        connection.run_async(lambda raw, text=script: raw.execute(text))
