-- The statement shows the calls that a draw paid for.
CREATE INDEX usage_event_transfer ON usage_event (transfer_id) WHERE transfer_id IS NOT NULL;
