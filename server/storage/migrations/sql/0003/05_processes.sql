-- Where a process keeps its journal; empty: it keeps none.
ALTER TABLE process ADD COLUMN journal_path text NOT NULL DEFAULT '';
