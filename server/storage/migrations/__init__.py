"""The schema's only definition: Alembic revisions that run plain SQL files, a file a capability."""
