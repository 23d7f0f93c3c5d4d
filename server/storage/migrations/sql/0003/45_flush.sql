-- Settles many calls of many organizations at once: writes their events, draws their leases, raises their buckets and
-- tells the outbox. All or nothing. An event that is there already is left out everywhere, so a batch whose answer was
-- lost can be sent again. Costs and excesses are given: what a call was charged, at most what was reserved for it, and
-- what its provider reported beyond. `p_draw` and `p_excess_id` are transfer ids for each of the leases in
-- `p_leases`. Answers how many events were new, and the nano-dollars that the platform's `bad_debt` bore.
-- The last call that an array is about stands at the same place in each.
CREATE FUNCTION flush_calls(
    p_leases uuid[], p_draws uuid[], p_excess_ids uuid[],
    p_id uuid[], p_org uuid[], p_lease uuid[], p_cost bigint[], p_excess bigint[], p_funding text[],
    p_key uuid[], p_user uuid[], p_model text[], p_provider text[], p_provider_call text[], p_request text[],
    p_attempt integer[], p_create timestamptz[], p_duration_ms integer[], p_first_token_ms integer[],
    p_streamed boolean[], p_ending text[], p_estimated boolean[], p_http_status integer[],
    p_input bigint[], p_cache_read bigint[], p_cache_write bigint[], p_output bigint[], p_reasoning bigint[],
    p_price integer[], p_markup integer[], p_profile text[], p_raw_usage text[],
    OUT events bigint, OUT bad_debt bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_new uuid[];
    v_all boolean;
    v_lease uuid[];
    v_org uuid[];
    v_draw uuid[];
    v_cost bigint[];
    v_excess_id uuid[];
    v_excess bigint[];
BEGIN
    WITH inserted AS (
        INSERT INTO usage_event (
            id, org_id, key_id, user_id, model_id, provider, provider_call_id, request_id, attempt, create_time,
            duration_ms, first_token_ms, streamed, ending, estimated, http_status,
            input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
            price_version, markup_version, cost, excess, funding, transfer_id, profile, raw_usage)
        SELECT c.id, c.org, c.key, c.person, c.model, c.provider, c.provider_call, c.request, c.attempt, c.created,
               c.duration_ms, c.first_token_ms, c.streamed, c.ending, c.estimated, c.http_status,
               c.input, c.cache_read, c.cache_write, c.output, c.reasoning, c.price, c.markup, c.cost, c.excess,
               CASE WHEN c.cost > 0 THEN c.funding ELSE '' END,
               CASE WHEN c.cost > 0 THEN d.draw END, c.profile, c.raw_usage::jsonb
        FROM unnest(
            p_id, p_org, p_lease, p_cost, p_excess, p_funding, p_key, p_user, p_model, p_provider, p_provider_call,
            p_request, p_attempt, p_create, p_duration_ms, p_first_token_ms, p_streamed, p_ending, p_estimated,
            p_http_status, p_input, p_cache_read, p_cache_write, p_output, p_reasoning, p_price, p_markup,
            p_profile, p_raw_usage
        ) AS c (
            id, org, lease, cost, excess, funding, key, person, model, provider, provider_call,
            request, attempt, created, duration_ms, first_token_ms, streamed, ending, estimated,
            http_status, input, cache_read, cache_write, output, reasoning, price, markup, profile, raw_usage
        )
        LEFT JOIN unnest(p_leases, p_draws) AS d (lease, draw) ON d.lease = c.lease
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT array_agg(id), count(*) INTO v_new, events FROM inserted;
    bad_debt := 0;
    IF events = 0 THEN RETURN; END IF;
    v_all := events = cardinality(p_id);

    SELECT array_agg(s.lease), array_agg(s.org), array_agg(d.draw), array_agg(s.cost), array_agg(d.excess_id),
           array_agg(s.excess)
    INTO v_lease, v_org, v_draw, v_cost, v_excess_id, v_excess
    FROM (
        SELECT c.lease, c.org, sum(c.cost)::bigint AS cost, sum(c.excess)::bigint AS excess
        FROM unnest(p_id, p_org, p_lease, p_cost, p_excess) AS c (id, org, lease, cost, excess)
        WHERE c.lease IS NOT NULL AND (v_all OR c.id = ANY (v_new)) GROUP BY c.lease, c.org
    ) s
    JOIN unnest(p_leases, p_draws, p_excess_ids) AS d (lease, draw, excess_id) ON d.lease = s.lease;
    IF v_lease IS NOT NULL THEN
        bad_debt := ledger_draw_many(v_lease, v_org, v_draw, v_cost, v_excess_id, v_excess);
    END IF;

    INSERT INTO usage_bucket AS b (
        org_id, start_time, model_id, key_id, requests, errors,
        input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost)
    SELECT c.org, date_bin('15 minutes', c.created, '2000-01-01 00:00:00+00'), c.model,
           coalesce(c.key, '00000000-0000-0000-0000-000000000000'), count(*),
           count(*) FILTER (WHERE c.ending NOT IN ('complete', 'client_left')),
           sum(c.input), sum(c.cache_read), sum(c.cache_write), sum(c.output), sum(c.reasoning), sum(c.cost)
    FROM unnest(p_id, p_org, p_key, p_model, p_create, p_ending, p_cost,
                p_input, p_cache_read, p_cache_write, p_output, p_reasoning)
        AS c (id, org, key, model, created, ending, cost, input, cache_read, cache_write, output, reasoning)
    WHERE v_all OR c.id = ANY (v_new)
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (org_id, start_time, model_id, key_id) DO UPDATE SET
        requests = b.requests + excluded.requests,
        errors = b.errors + excluded.errors,
        input_tokens = b.input_tokens + excluded.input_tokens,
        cache_read_tokens = b.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = b.cache_write_tokens + excluded.cache_write_tokens,
        output_tokens = b.output_tokens + excluded.output_tokens,
        reasoning_tokens = b.reasoning_tokens + excluded.reasoning_tokens,
        cost = b.cost + excluded.cost;

    INSERT INTO outbox (org_id, kind, payload)
    SELECT c.org, 'usage.recorded', jsonb_build_object('usage_event_ids', jsonb_agg(c.id ORDER BY c.id))
    FROM unnest(p_id, p_org) AS c (id, org) WHERE v_all OR c.id = ANY (v_new) GROUP BY c.org;
END $$;

REVOKE ALL ON FUNCTION flush_calls FROM PUBLIC;
GRANT EXECUTE ON FUNCTION flush_calls TO tollbridge_meter, tollbridge_keeper;
