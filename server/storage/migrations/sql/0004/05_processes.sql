-- Where a process remembers its calls: on a disk that outlives it, or in `open_call`. The latter is taken for dead too
-- once it was silent for a minute and none of its leases admits anything: all that it could still tell is here.
ALTER TABLE process ADD COLUMN journal text NOT NULL DEFAULT 'disk' CHECK (journal IN ('disk', 'database'));

-- When it was last heard of, by this clock: hosts' own clocks may differ.
ALTER TABLE process ADD COLUMN seen_time timestamptz NOT NULL DEFAULT clock_timestamp();
