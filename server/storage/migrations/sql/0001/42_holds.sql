-- Holds: reserve the worst case of a call, then charge what it cost. One statement each, so one transaction each.

-- Reserves from the first account that covers the amount. Answers the outcome:
--   "held"             account, funding, plan, and what is available after it over all accounts usable for the model
--   "reserved"         enough is posted, but other open holds stand in the way
--   "insufficient"     not enough; `available` is the most that one account can cover
--   "no_subscription"  no plan in force
-- Asked again with the id of an open hold it raises unique_violation: an answer was lost, and the hold can be read.
CREATE FUNCTION ledger_hold(
    p_org uuid, p_id uuid, p_amount bigint, p_process uuid, p_expire timestamptz, p_call uuid, p_model text,
    p_key uuid, p_user uuid, p_request text, p_streamed boolean, p_create timestamptz,
    OUT outcome text, OUT account uuid, OUT funding text, OUT available bigint, OUT plan text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_row record;
    v_spill uuid;
    v_revenue uuid;
    v_most bigint;
    v_posted boolean;
BEGIN
    PERFORM ledger_guard(p_org);
    SELECT s.plan_id INTO plan FROM subscription s WHERE s.org_id = p_org AND s.end_time IS NULL;
    IF plan IS NULL THEN
        outcome := 'no_subscription';
        RETURN;
    END IF;
    FOR attempt IN 1..16 LOOP
        account := NULL; v_spill := NULL; available := 0; v_most := 0; v_posted := false;
        FOR v_row IN
            SELECT f.account_id, f.kind, a.credits_posted - a.debits_posted - a.floor AS posted, a.debits_pending
            FROM funding f JOIN ledger_account a ON a.id = f.account_id
            WHERE f.org_id = p_org
              -- `included` is bounded by the plan's limits alone. It admits nothing as long as limits are not enforced,
              -- else it would pay without end.
              AND f.kind <> 'included'
              AND (f.models = '{}' OR p_model = ANY (f.models))
              AND (f.expire_time IS NULL OR f.expire_time > p_create)
            ORDER BY f.rank, f.expire_time, f.account_id
        LOOP
            available := available + v_row.posted - v_row.debits_pending;
            v_most := greatest(v_most, v_row.posted - v_row.debits_pending);
            v_posted := v_posted OR v_row.posted >= p_amount;
            IF account IS NULL AND v_row.posted - v_row.debits_pending >= p_amount THEN
                account := v_row.account_id; funding := v_row.kind;
            ELSIF account IS NULL AND v_spill IS NULL AND v_row.posted > v_row.debits_pending THEN
                v_spill := v_row.account_id;
            END IF;
        END LOOP;
        EXIT WHEN account IS NULL;
        -- Somebody may have taken it since: the row is looked at again under its lock.
        UPDATE ledger_account SET debits_pending = debits_pending + p_amount
        WHERE id = account AND credits_posted - debits_posted - debits_pending - p_amount >= floor;
        EXIT WHEN FOUND;
        account := NULL;
    END LOOP;
    IF account IS NULL THEN
        outcome := CASE WHEN v_posted THEN 'reserved' ELSE 'insufficient' END;
        available := v_most;
        RETURN;
    END IF;
    UPDATE ledger_account SET credits_pending = credits_pending + p_amount
    WHERE org_id = p_org AND code = 'revenue' AND asset = 'USD/9' RETURNING id INTO v_revenue;
    INSERT INTO ledger_transfer (id, org_id, kind, debit_account, credit_account, amount, purpose, usage_event_id)
    VALUES (p_id, p_org, 'pending', account, v_revenue, p_amount, 'usage', p_call);
    INSERT INTO open_hold (id, org_id, account_id, revenue_id, amount, spill_id, funding, process_id, expire_time,
                           call_id, model_id, key_id, user_id, request_id, streamed, create_time)
    VALUES (p_id, p_org, account, v_revenue, p_amount, v_spill, funding, p_process, p_expire,
            p_call, p_model, p_key, p_user, p_request, p_streamed, p_create);
    outcome := 'held';
    available := available - p_amount;
END $$;

-- Charges a part of a hold and leaves the rest held. Answers false where the hold is closed or holds less.
CREATE FUNCTION ledger_draw(p_org uuid, p_hold uuid, p_id uuid, p_amount bigint, p_event uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_hold open_hold;
BEGIN
    PERFORM ledger_guard(p_org);
    UPDATE open_hold SET drawn = drawn + p_amount
    WHERE id = p_hold AND org_id = p_org AND amount - drawn >= p_amount AND p_amount > 0 RETURNING * INTO v_hold;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE ledger_account SET debits_pending = debits_pending - p_amount, debits_posted = debits_posted + p_amount
    WHERE id = v_hold.account_id;
    UPDATE ledger_account SET credits_pending = credits_pending - p_amount, credits_posted = credits_posted + p_amount
    WHERE id = v_hold.revenue_id;
    INSERT INTO ledger_transfer
        (id, org_id, kind, debit_account, credit_account, amount, pending_id, purpose, usage_event_id)
    VALUES (p_id, p_org, 'draw', v_hold.account_id, v_hold.revenue_id, p_amount, p_hold, 'usage', p_event);
    RETURN true;
END $$;

-- Closes a hold by what the call cost: nothing is a void, more than is held is charged to the platform's own
-- `provider_excess`. What an earlier, nearly empty account still has is used first. Ids of transfers are given for
-- each movement that may be needed. `closed` is true where somebody closed the hold before; then nothing happens.
-- No role may call it: settle_call does, which has looked at the organization.
CREATE FUNCTION ledger_settle(
    p_org uuid, p_hold uuid, p_cost bigint, p_close_id uuid, p_spill_id uuid, p_excess_id uuid,
    OUT closed boolean, OUT charged bigint, OUT excess bigint, OUT funding text, OUT transfer uuid,
    OUT available bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_hold open_hold;
    v_rest bigint;
    v_spill bigint := 0;
    v_close bigint;
BEGIN
    DELETE FROM open_hold WHERE id = p_hold AND org_id = p_org RETURNING * INTO v_hold;
    closed := NOT FOUND;
    IF closed THEN RETURN; END IF;
    v_rest := v_hold.amount - v_hold.drawn;
    charged := least(p_cost, v_rest);
    excess := p_cost - charged;
    funding := v_hold.funding;
    IF v_hold.spill_id IS NOT NULL AND charged > 0 THEN
        v_spill := ledger_spill(v_hold, charged, p_spill_id);
    END IF;
    v_close := charged - v_spill;
    UPDATE ledger_account SET debits_pending = debits_pending - v_rest, debits_posted = debits_posted + v_close
    WHERE id = v_hold.account_id
    RETURNING credits_posted - debits_posted - debits_pending - ledger_account.floor INTO available;
    UPDATE ledger_account
    SET credits_pending = credits_pending - v_rest, credits_posted = credits_posted + charged + excess
    WHERE id = v_hold.revenue_id;
    INSERT INTO ledger_transfer
        (id, org_id, kind, debit_account, credit_account, amount, pending_id, purpose, usage_event_id)
    VALUES (p_close_id, p_org, CASE WHEN v_close > 0 THEN 'post' ELSE 'void' END, v_hold.account_id,
            v_hold.revenue_id, CASE WHEN v_close > 0 THEN v_close ELSE v_rest END, p_hold, 'usage', v_hold.call_id);
    transfer := CASE WHEN v_close > 0 THEN p_close_id WHEN v_spill > 0 THEN p_spill_id END;
    IF excess > 0 THEN
        PERFORM ledger_excess(v_hold, excess, p_excess_id);
    END IF;
END $$;

-- Uses up to `p_most` of the earlier account. Answers how much. Part of ledger_settle.
CREATE FUNCTION ledger_spill(p_hold open_hold, p_most bigint, p_id uuid) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_amount bigint;
BEGIN
    PERFORM FROM ledger_account WHERE id IN (p_hold.account_id, p_hold.spill_id) ORDER BY id FOR NO KEY UPDATE;
    SELECT least(p_most, credits_posted - debits_posted - debits_pending - floor) INTO v_amount
    FROM ledger_account WHERE id = p_hold.spill_id;
    IF v_amount <= 0 THEN RETURN 0; END IF;
    UPDATE ledger_account SET debits_posted = debits_posted + v_amount WHERE id = p_hold.spill_id;
    INSERT INTO ledger_transfer (id, org_id, kind, debit_account, credit_account, amount, purpose, usage_event_id)
    VALUES (p_id, p_hold.org_id, 'single', p_hold.spill_id, p_hold.revenue_id, v_amount, 'usage', p_hold.call_id);
    RETURN v_amount;
END $$;

-- Charges the platform what a provider reported beyond the hold. Part of ledger_settle, which credits revenue.
CREATE FUNCTION ledger_excess(p_hold open_hold, p_amount bigint, p_id uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_account uuid;
BEGIN
    UPDATE ledger_account SET debits_posted = debits_posted + p_amount
    WHERE org_id = p_hold.org_id AND code = 'provider_excess' AND asset = 'USD/9' RETURNING id INTO v_account;
    INSERT INTO ledger_transfer (id, org_id, kind, debit_account, credit_account, amount, purpose, usage_event_id)
    VALUES (p_id, p_hold.org_id, 'single', v_account, p_hold.revenue_id, p_amount, 'excess', p_hold.call_id);
END $$;

REVOKE ALL ON FUNCTION
    ledger_guard, ledger_account_id, ledger_open_accounts, ledger_open_funding, ledger_single, ledger_hold, ledger_draw,
    ledger_settle, ledger_spill, ledger_excess, refuse_change
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_open_accounts, ledger_open_funding, ledger_single, ledger_hold, ledger_draw
TO tollbridge_app;
