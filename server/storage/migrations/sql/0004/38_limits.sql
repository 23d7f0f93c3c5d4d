-- Limits that an organization gave itself, its people, or the models that it calls. Keys' own stand with the key.

CREATE TABLE limit_rule (
    org_id uuid NOT NULL REFERENCES organization (id),
    kind text NOT NULL CHECK (kind IN ('organization', 'user', 'model')),
    -- The person's id as a UUID, the model's id; empty for the organization.
    subject text NOT NULL CHECK ((subject = '') = (kind = 'organization')),
    limits jsonb NOT NULL CHECK (are_limits(limits) AND limits <> '{}'),
    update_time timestamptz NOT NULL,
    PRIMARY KEY (org_id, kind, subject)
);
CALL make_tenant_table('limit_rule');
GRANT SELECT, INSERT, DELETE ON limit_rule TO tollbridge_app;
GRANT UPDATE (limits, update_time) ON limit_rule TO tollbridge_app;

-- All that bounds the calls of many organizations: each one's plan's limits, what it gave itself, and its zone. No row for
-- an organization that is not there; no plan where it has none.
CREATE FUNCTION lookup_limits(wanted uuid[])
RETURNS TABLE (org_id uuid, time_zone text, plan_id text, included boolean, limits jsonb, rules jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT o.id, o.time_zone, s.plan_id, p.included,
           jsonb_strip_nulls(jsonb_build_object(
               'requests_per_minute', v.requests_per_minute, 'requests_per_hour', v.requests_per_hour,
               'requests_per_day', v.requests_per_day, 'tokens_per_minute', v.tokens_per_minute,
               'tokens_per_day', v.tokens_per_day, 'tokens_per_month', v.tokens_per_month,
               'burst', v.burst, 'concurrency', v.concurrency)),
           (SELECT jsonb_agg(jsonb_build_array(r.kind, r.subject, r.limits)) FROM limit_rule r WHERE r.org_id = o.id)
    FROM organization o
    LEFT JOIN subscription s ON s.org_id = o.id AND s.end_time IS NULL
    LEFT JOIN plan p ON p.id = s.plan_id
    LEFT JOIN plan_version v ON v.plan_id = s.plan_id AND v.version = s.plan_version
    WHERE o.id = ANY (wanted)
$$;

REVOKE ALL ON FUNCTION lookup_limits(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_limits(uuid[]) TO tollbridge_lookup;
