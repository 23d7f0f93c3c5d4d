-- Charges that are taken back: a call whose process died before its answer was stored for its Idempotency-Key is run
-- again by the retry, and the organization pays for one run of the two.

-- Runs that were given up, until their charge is taken back or it is certain that there is none.
CREATE TABLE call_reversal (
    usage_event_id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    -- Whose journal may still tell what the run is charged.
    process_id uuid NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);
CALL make_tenant_table('call_reversal');
GRANT INSERT ON call_reversal TO tollbridge_app;

-- Gives back what a run that was given up was charged, to the accounts that paid, from the platform's own
-- `interruption`, and strikes it off the list; once, whoever asks. What the platform bore itself stays. `p_paid`: the
-- transfers that a call with a hold of its own is charged by, two at most. `p_ids`: an id for each movement. Answers how
-- much was given back in all.
CREATE FUNCTION ledger_reverse_call(p_org uuid, p_event uuid, p_paid uuid[], p_ids uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_row record;
    v_platform uuid;
    v_all bigint := 0;
BEGIN
    PERFORM ledger_guard(p_org);
    DELETE FROM call_reversal WHERE usage_event_id = p_event AND org_id = p_org;
    IF NOT FOUND THEN RETURN 0; END IF;
    INSERT INTO ledger_account (id, org_id, code, normal) VALUES (ledger_account_id('e'), p_org, 'interruption', 'D')
    ON CONFLICT DO NOTHING;
    SELECT id INTO v_platform FROM ledger_account
    WHERE org_id = p_org AND code = 'interruption' AND asset = 'USD/9';
    FOR v_row IN
        SELECT paid.account, paid.amount, row_number() OVER (ORDER BY paid.account) AS number
        FROM (
            SELECT t.debit_account AS account, t.amount FROM ledger_transfer t
            WHERE t.org_id = p_org AND t.id = ANY (p_paid) AND t.usage_event_id = p_event AND t.kind IN ('single', 'post')
            UNION ALL
            SELECT t.debit_account, e.cost FROM usage_event e JOIN ledger_transfer t ON t.id = e.transfer_id
            WHERE e.id = p_event AND e.org_id = p_org AND e.cost > 0 AND t.usage_event_id IS NULL
        ) paid
        JOIN funding f ON f.account_id = paid.account AND f.org_id = p_org
        ORDER BY paid.account
    LOOP
        UPDATE ledger_account SET credits_posted = credits_posted + v_row.amount WHERE id = v_row.account;
        INSERT INTO ledger_transfer (id, org_id, kind, debit_account, credit_account, amount, purpose, usage_event_id)
        VALUES (p_ids[v_row.number], p_org, 'single', v_platform, v_row.account, v_row.amount, 'reversal', p_event);
        v_all := v_all + v_row.amount;
    END LOOP;
    UPDATE ledger_account SET debits_posted = debits_posted + v_all WHERE id = v_platform AND v_all > 0;
    RETURN v_all;
END $$;

REVOKE ALL ON FUNCTION ledger_reverse_call FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_reverse_call TO tollbridge_keeper;
