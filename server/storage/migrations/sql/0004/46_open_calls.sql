-- Calls under way, of processes whose host has no disk that outlives them (JOURNAL=database).
CREATE TABLE open_call (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    process_id uuid NOT NULL,
    -- As a journal's file would have it: MessagePack.
    record bytea NOT NULL,
    -- Tokens handed over. NULL: the provider has not accepted the call yet.
    output bigint,
    reasoning bigint
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX open_call_process ON open_call (process_id);
CALL make_tenant_table('open_call');
GRANT DELETE ON open_call TO tollbridge_keeper;
CREATE POLICY keeper_sweeps ON open_call FOR DELETE TO tollbridge_keeper USING (true);

-- Writes what a process has to remember of its calls: new ones, how far they came, and which are settled. The commit
-- does not wait for the disk: a process that dies leaves what it wrote, and PostgreSQL's own crash kills no process
-- that still has it in memory. The last call that an array is about stands at the same place in each.
CREATE FUNCTION note_open_calls(
    p_process uuid, p_new uuid[], p_new_org uuid[], p_record bytea[],
    p_id uuid[], p_output bigint[], p_reasoning bigint[], p_over uuid[]
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO open_call (id, org_id, process_id, record)
    SELECT c.id, c.org, p_process, c.record FROM unnest(p_new, p_new_org, p_record) AS c (id, org, record)
    ON CONFLICT DO NOTHING;
    UPDATE open_call o SET output = c.output, reasoning = c.reasoning
    FROM unnest(p_id, p_output, p_reasoning) AS c (id, output, reasoning) WHERE o.id = c.id;
    DELETE FROM open_call WHERE id = ANY (p_over);
END $$;

REVOKE ALL ON FUNCTION note_open_calls FROM PUBLIC;
GRANT EXECUTE ON FUNCTION note_open_calls TO tollbridge_meter;
