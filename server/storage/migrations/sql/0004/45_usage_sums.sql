-- Sums of buckets, so that a year is read nearly as quickly as a day.

-- An organization's half hour, of all models and keys. Days and months are made of these, and of buckets in the few
-- zones whose offset is no whole half hour.
CREATE TABLE usage_half_hour (
    org_id uuid NOT NULL,
    -- 0 or 30 minutes past, UTC.
    start_time timestamptz NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost bigint NOT NULL,
    PRIMARY KEY (org_id, start_time)
) WITH (fillfactor = 70);
CALL make_tenant_table('usage_half_hour');
GRANT SELECT ON usage_half_hour TO tollbridge_app;

-- A model and key's day in UTC.
CREATE TABLE usage_day (
    org_id uuid NOT NULL,
    -- Midnight UTC.
    start_time timestamptz NOT NULL,
    model_id text NOT NULL,
    -- All zeros: calls of people.
    key_id uuid NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost bigint NOT NULL,
    PRIMARY KEY (org_id, start_time, model_id, key_id)
) WITH (fillfactor = 70);
CALL make_tenant_table('usage_day');
GRANT SELECT ON usage_day TO tollbridge_app;

-- What buckets hold already.
INSERT INTO usage_half_hour
SELECT org_id, date_bin('30 minutes', start_time, '2000-01-01 00:00:00+00'), sum(requests), sum(errors), sum(input_tokens),
       sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost)
FROM usage_bucket GROUP BY 1, 2;
INSERT INTO usage_day
SELECT org_id, date_trunc('day', start_time, 'UTC'), model_id, key_id, sum(requests), sum(errors), sum(input_tokens),
       sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost)
FROM usage_bucket GROUP BY 1, 2, 3, 4;

-- Whatever adds to buckets adds to both sums in the same transaction, half hours first, each in the order of its key, so that
-- two of them cannot wait for each other.
CREATE FUNCTION usage_sums_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_added usage_bucket[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n) INTO v_added FROM new_buckets n;
    ELSE
        SELECT array_agg(ROW(
            org_id, start_time, model_id, key_id, n.requests - o.requests, n.errors - o.errors,
            n.input_tokens - o.input_tokens, n.cache_read_tokens - o.cache_read_tokens,
            n.cache_write_tokens - o.cache_write_tokens, n.output_tokens - o.output_tokens,
            n.reasoning_tokens - o.reasoning_tokens, n.cost - o.cost)::usage_bucket)
        INTO v_added FROM new_buckets n JOIN old_buckets o USING (org_id, start_time, model_id, key_id);
    END IF;
    IF v_added IS NULL THEN RETURN NULL; END IF;
    INSERT INTO usage_half_hour AS h
    SELECT org_id, date_bin('30 minutes', start_time, '2000-01-01 00:00:00+00'), sum(requests), sum(errors), sum(input_tokens),
           sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost)
    FROM unnest(v_added) GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (org_id, start_time) DO UPDATE SET
        requests = h.requests + excluded.requests,
        errors = h.errors + excluded.errors,
        input_tokens = h.input_tokens + excluded.input_tokens,
        cache_read_tokens = h.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = h.cache_write_tokens + excluded.cache_write_tokens,
        output_tokens = h.output_tokens + excluded.output_tokens,
        reasoning_tokens = h.reasoning_tokens + excluded.reasoning_tokens,
        cost = h.cost + excluded.cost;
    INSERT INTO usage_day AS d
    SELECT org_id, date_trunc('day', start_time, 'UTC'), model_id, key_id, sum(requests), sum(errors),
           sum(input_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens),
           sum(reasoning_tokens), sum(cost)
    FROM unnest(v_added) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (org_id, start_time, model_id, key_id) DO UPDATE SET
        requests = d.requests + excluded.requests,
        errors = d.errors + excluded.errors,
        input_tokens = d.input_tokens + excluded.input_tokens,
        cache_read_tokens = d.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = d.cache_write_tokens + excluded.cache_write_tokens,
        output_tokens = d.output_tokens + excluded.output_tokens,
        reasoning_tokens = d.reasoning_tokens + excluded.reasoning_tokens,
        cost = d.cost + excluded.cost;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION usage_sums_follow FROM PUBLIC;

CREATE TRIGGER usage_sums_new AFTER INSERT ON usage_bucket
    REFERENCING NEW TABLE AS new_buckets FOR EACH STATEMENT EXECUTE FUNCTION usage_sums_follow();
CREATE TRIGGER usage_sums_raised AFTER UPDATE ON usage_bucket
    REFERENCING NEW TABLE AS new_buckets OLD TABLE AS old_buckets
    FOR EACH STATEMENT EXECUTE FUNCTION usage_sums_follow();

-- Histories of one profile. Those of a key or a model need no index: buckets tell when either was used.
CREATE INDEX usage_event_profile ON usage_event (org_id, profile, id DESC) WHERE profile <> '';
