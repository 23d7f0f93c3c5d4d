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

-- Gives back what a lease has beyond `p_known`, which is all that its holder knows of: the answer to a growth was lost, or
-- what was to be given back never came. Answers how much that was. The holder asks once no earlier statement of its can
-- still be under way; what was charged meanwhile makes it too little, never too much.
CREATE FUNCTION ledger_lease_trim(p_org uuid, p_id uuid, p_void uuid, p_pending uuid, p_known bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_lease spend_lease;
    v_beyond bigint;
BEGIN
    PERFORM ledger_guard(p_org);
    SELECT * INTO v_lease FROM spend_lease WHERE id = p_id AND org_id = p_org;
    IF NOT FOUND THEN RETURN 0; END IF;
    PERFORM FROM ledger_account WHERE id IN (v_lease.account_id, v_lease.revenue_id) ORDER BY id FOR NO KEY UPDATE;
    SELECT amount - drawn - p_known INTO v_beyond FROM spend_lease WHERE id = p_id FOR UPDATE;
    IF v_beyond IS NULL OR v_beyond <= 0 THEN RETURN 0; END IF;
    PERFORM ledger_lease_resize(p_org, p_id, p_void, p_pending, -v_beyond, 0);
    RETURN v_beyond;
END $$;

REVOKE ALL ON FUNCTION ledger_lease_trim FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_lease_trim TO tollbridge_app, tollbridge_keeper;
