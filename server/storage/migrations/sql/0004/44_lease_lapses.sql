-- Ends a lease whose holder was not heard of for long, unless it is heard of at last and has renewed it. Answers whether
-- the lease is no more.
CREATE FUNCTION ledger_lease_lapse(p_org uuid, p_id uuid, p_void uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_lease spend_lease;
BEGIN
    PERFORM ledger_guard(p_org);
    SELECT * INTO v_lease FROM spend_lease WHERE id = p_id AND org_id = p_org;
    IF NOT FOUND THEN RETURN true; END IF;
    -- In the order in which everybody locks: the accounts first.
    PERFORM FROM ledger_account WHERE id IN (v_lease.account_id, v_lease.revenue_id) ORDER BY id FOR NO KEY UPDATE;
    PERFORM FROM spend_lease WHERE id = p_id AND expire_time < clock_timestamp() FOR UPDATE;
    IF NOT FOUND THEN RETURN NOT EXISTS (SELECT FROM spend_lease WHERE id = p_id); END IF;
    PERFORM ledger_lease_resize(p_org, p_id, p_void, p_void, -4611686018427387904, 0);
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION ledger_lease_lapse FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_lease_lapse TO tollbridge_keeper;
