-- Usage: one event a call, and sums of events in buckets of 15 minutes (every time zone's offset is a multiple of it).

CREATE TABLE usage_event (
    -- UUIDv7 drawn when the call is admitted; begins with the time, which the partitions go by.
    id uuid NOT NULL,
    org_id uuid NOT NULL,
    -- NULL: a person's call. No foreign keys: what happened stays when keys and people go.
    key_id uuid,
    user_id uuid,
    model_id text NOT NULL,
    provider text NOT NULL,
    provider_call_id text NOT NULL,
    request_id text NOT NULL,
    -- Number of the try at a provider, from 1.
    attempt smallint NOT NULL,
    create_time timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    first_token_ms integer NOT NULL,
    streamed boolean NOT NULL,
    ending text NOT NULL
        CHECK (ending IN ('complete', 'client_left', 'provider_failed', 'deadline', 'interrupted')),
    estimated boolean NOT NULL,
    http_status smallint NOT NULL,
    -- Disjoint classes.
    input_tokens bigint NOT NULL CHECK (input_tokens >= 0),
    cache_read_tokens bigint NOT NULL CHECK (cache_read_tokens >= 0),
    cache_write_tokens bigint NOT NULL CHECK (cache_write_tokens >= 0),
    output_tokens bigint NOT NULL CHECK (output_tokens >= 0),
    reasoning_tokens bigint NOT NULL CHECK (reasoning_tokens >= 0),
    -- The price_version or organization_price, and the price_markup, that priced it. NULL: none.
    price_version integer,
    markup_version integer,
    -- What the organization was charged, and what the provider reported beyond the hold, in nano-dollars.
    cost bigint NOT NULL CHECK (cost >= 0),
    excess bigint NOT NULL CHECK (excess >= 0),
    currency text NOT NULL DEFAULT 'USD',
    -- The kind of account that paid, and the transfer; empty and NULL where nothing was charged.
    funding text NOT NULL,
    transfer_id uuid,
    -- The provider's own words.
    raw_usage jsonb,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
-- Catches what no month has: far futures, and databases that were not migrated for two years.
CREATE TABLE usage_event_default PARTITION OF usage_event DEFAULT;
CREATE INDEX usage_event_history ON usage_event (org_id, id DESC);
CALL make_tenant_table('usage_event');
GRANT SELECT ON usage_event TO tollbridge_app;

CREATE TABLE usage_bucket (
    org_id uuid NOT NULL,
    -- Of the call's admission, rounded down to 15 minutes UTC.
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
CALL make_tenant_table('usage_bucket');
GRANT SELECT ON usage_bucket TO tollbridge_app;

-- Settles a call: closes its hold, writes its event, adds it to its bucket, and tells the outbox. All or nothing, once:
-- a second settlement of the same call answers the first one's event. `p_hold` is NULL for a call without a hold.
CREATE FUNCTION settle_call(
    p_org uuid, p_hold uuid, p_close_id uuid, p_spill_id uuid, p_excess_id uuid, p_cost bigint,
    p_id uuid, p_key uuid, p_user uuid, p_model text, p_provider text, p_provider_call text, p_request text,
    p_attempt integer, p_create timestamptz, p_duration_ms integer, p_first_token_ms integer, p_streamed boolean,
    p_ending text, p_estimated boolean, p_http_status integer,
    p_input bigint, p_cache_read bigint, p_cache_write bigint, p_output bigint, p_reasoning bigint,
    p_price integer, p_markup integer, p_raw_usage text,
    OUT cost bigint, OUT excess bigint, OUT available bigint, OUT transfer uuid
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_settled record;
    v_funding text := '';
    v_key uuid := coalesce(p_key, '00000000-0000-0000-0000-000000000000');
    v_errors integer := CASE WHEN p_ending IN ('complete', 'client_left') THEN 0 ELSE 1 END;
BEGIN
    PERFORM ledger_guard(p_org);
    cost := 0; excess := 0; available := 0;
    IF p_hold IS NOT NULL THEN
        SELECT * INTO v_settled FROM ledger_settle(p_org, p_hold, p_cost, p_close_id, p_spill_id, p_excess_id);
        IF NOT v_settled.closed THEN
            cost := v_settled.charged; excess := v_settled.excess; transfer := v_settled.transfer;
            available := v_settled.available;
            IF transfer IS NOT NULL THEN v_funding := v_settled.funding; END IF;
        END IF;
    END IF;
    INSERT INTO usage_event (
        id, org_id, key_id, user_id, model_id, provider, provider_call_id, request_id, attempt, create_time,
        duration_ms, first_token_ms, streamed, ending, estimated, http_status,
        input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
        price_version, markup_version, cost, excess, funding, transfer_id, raw_usage)
    VALUES (
        p_id, p_org, p_key, p_user, p_model, p_provider, p_provider_call, p_request, p_attempt, p_create,
        p_duration_ms, p_first_token_ms, p_streamed, p_ending, p_estimated, p_http_status,
        p_input, p_cache_read, p_cache_write, p_output, p_reasoning,
        p_price, p_markup, settle_call.cost, settle_call.excess, v_funding, transfer, p_raw_usage::jsonb)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT e.cost, e.excess, e.transfer_id INTO cost, excess, transfer
        FROM usage_event e WHERE e.id = p_id AND e.org_id = p_org;
        RETURN;
    END IF;
    INSERT INTO usage_bucket AS b (
        org_id, start_time, model_id, key_id, requests, errors,
        input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost)
    VALUES (
        p_org, date_bin('15 minutes', p_create, '2000-01-01 00:00:00+00'), p_model, v_key, 1, v_errors,
        p_input, p_cache_read, p_cache_write, p_output, p_reasoning, settle_call.cost)
    ON CONFLICT (org_id, start_time, model_id, key_id) DO UPDATE SET
        requests = b.requests + 1,
        errors = b.errors + excluded.errors,
        input_tokens = b.input_tokens + excluded.input_tokens,
        cache_read_tokens = b.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = b.cache_write_tokens + excluded.cache_write_tokens,
        output_tokens = b.output_tokens + excluded.output_tokens,
        reasoning_tokens = b.reasoning_tokens + excluded.reasoning_tokens,
        cost = b.cost + excluded.cost;
    INSERT INTO outbox (org_id, kind, payload)
    VALUES (p_org, 'usage.recorded', jsonb_build_object('usage_event_id', p_id));
END $$;

REVOKE ALL ON FUNCTION settle_call FROM PUBLIC;
GRANT EXECUTE ON FUNCTION settle_call TO tollbridge_app, tollbridge_keeper;
