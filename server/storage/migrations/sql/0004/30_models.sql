-- The prices in force that organizations agreed on, one a model: many organizations at once, for calls that begin.
CREATE FUNCTION lookup_organization_prices(wanted uuid[], at_time timestamptz)
RETURNS TABLE (version integer, org_id uuid, model_id text, input bigint, cache_read bigint, cache_write bigint,
    output bigint, reasoning bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT DISTINCT ON (p.org_id, p.model_id)
           p.version, p.org_id, p.model_id, p.input, p.cache_read, p.cache_write, p.output, p.reasoning
    FROM organization_price p
    WHERE p.org_id = ANY (wanted) AND p.effective_time <= at_time
    ORDER BY p.org_id, p.model_id, p.effective_time DESC, p.version DESC
$$;

REVOKE ALL ON FUNCTION lookup_organization_prices(uuid[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_organization_prices(uuid[], timestamptz) TO tollbridge_lookup;
