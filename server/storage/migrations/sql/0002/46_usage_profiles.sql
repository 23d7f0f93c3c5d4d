-- Calls that named a profile: the event says both the profile and the model behind it.

ALTER TABLE usage_event ADD COLUMN profile text NOT NULL DEFAULT '';

-- settle_call for a call that named a profile; the same arguments after its name. A call that was settled before keeps
-- what its event says.
CREATE FUNCTION settle_profile_call(
    p_profile text,
    p_org uuid, p_hold uuid, p_close_id uuid, p_spill_id uuid, p_excess_id uuid, p_cost bigint,
    p_id uuid, p_key uuid, p_user uuid, p_model text, p_provider text, p_provider_call text, p_request text,
    p_attempt integer, p_create timestamptz, p_duration_ms integer, p_first_token_ms integer, p_streamed boolean,
    p_ending text, p_estimated boolean, p_http_status integer,
    p_input bigint, p_cache_read bigint, p_cache_write bigint, p_output bigint, p_reasoning bigint,
    p_price integer, p_markup integer, p_raw_usage text,
    OUT cost bigint, OUT excess bigint, OUT available bigint, OUT transfer uuid
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    SELECT s.cost, s.excess, s.available, s.transfer INTO cost, excess, available, transfer
    FROM settle_call(
        p_org, p_hold, p_close_id, p_spill_id, p_excess_id, p_cost, p_id, p_key, p_user, p_model, p_provider,
        p_provider_call, p_request, p_attempt, p_create, p_duration_ms, p_first_token_ms, p_streamed, p_ending,
        p_estimated, p_http_status, p_input, p_cache_read, p_cache_write, p_output, p_reasoning, p_price, p_markup,
        p_raw_usage) s;
    UPDATE usage_event e SET profile = p_profile WHERE e.id = p_id AND e.org_id = p_org AND e.profile = '';
END $$;

REVOKE ALL ON FUNCTION settle_profile_call FROM PUBLIC;
GRANT EXECUTE ON FUNCTION settle_profile_call TO tollbridge_app, tollbridge_keeper;
