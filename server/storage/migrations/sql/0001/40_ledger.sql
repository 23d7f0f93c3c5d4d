-- Money: double entry. Balances change only inside the functions below, which run as the owner: no runtime role may
-- write accounts or transfers itself. Rows of accounts are locked in ascending id; ids begin with a digit for the kind
-- of account (1 pays for calls, 7 debt, a revenue, b the provider's excess, c issuance), so the order is the same for
-- everybody: who pays first, then who is paid.

CREATE TABLE ledger_account (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES organization (id),
    -- "wallet", "postpaid", "promo:1", "debt", "revenue", "provider_excess", "issuance".
    code text NOT NULL,
    -- 'USD/9': nano-dollars.
    asset text NOT NULL DEFAULT 'USD/9',
    normal "char" NOT NULL CHECK (normal IN ('D', 'C')),
    debits_posted bigint NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
    credits_posted bigint NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
    debits_pending bigint NOT NULL DEFAULT 0 CHECK (debits_pending >= 0),
    credits_pending bigint NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
    -- What is available, pending included, never falls below it. NULL: no floor.
    floor bigint,
    create_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (org_id, code, asset),
    CONSTRAINT ledger_account_floor CHECK (
        floor IS NULL
        OR CASE normal
            WHEN 'C' THEN credits_posted - debits_posted - debits_pending
            ELSE debits_posted - credits_posted - credits_pending
        END >= floor)
) WITH (fillfactor = 50);
CALL make_tenant_table('ledger_account');
GRANT SELECT ON ledger_account TO tollbridge_app;

-- Accounts that pay for calls, in the order of `rank`, then of expiry.
CREATE TABLE funding (
    account_id uuid PRIMARY KEY REFERENCES ledger_account,
    org_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('included', 'package', 'promo', 'wallet', 'postpaid')),
    rank smallint NOT NULL GENERATED ALWAYS AS (
        CASE kind WHEN 'included' THEN 0 WHEN 'package' THEN 1 WHEN 'promo' THEN 2 WHEN 'wallet' THEN 3 ELSE 4 END
    ) STORED,
    -- Models that it pays for; empty: all.
    models text[] NOT NULL DEFAULT '{}',
    expire_time timestamptz,
    description text NOT NULL DEFAULT '',
    create_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX funding_order ON funding (org_id, rank, expire_time, account_id);
CALL make_tenant_table('funding');
GRANT SELECT ON funding TO tollbridge_app;

-- Movements. Rows never change; a correction is another row. id = UUIDv5(organization, the caller's key), so the same
-- key moves money once. `draw`, `post` and `void` name the pending transfer that they use.
CREATE TABLE ledger_transfer (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('single', 'pending', 'draw', 'post', 'void')),
    -- No foreign keys: only the functions below write here, with the accounts' rows locked; `verify` looks as well.
    debit_account uuid NOT NULL,
    credit_account uuid NOT NULL CHECK (credit_account <> debit_account),
    -- Of a post: what is charged, which may be less than the hold. Of a void: what is set free.
    amount bigint NOT NULL CHECK (amount > 0 OR (kind = 'void' AND amount = 0)),
    pending_id uuid CHECK ((pending_id IS NOT NULL) = (kind IN ('draw', 'post', 'void'))),
    -- "usage", "excess", "adjustment", "promo".
    purpose text NOT NULL,
    description text NOT NULL DEFAULT '',
    usage_event_id uuid,
    create_time timestamptz NOT NULL DEFAULT now()
);
-- A hold closes once.
CREATE UNIQUE INDEX ledger_transfer_close ON ledger_transfer (pending_id) WHERE kind IN ('post', 'void');
-- The statement: what moved posted balances of accounts that pay.
CREATE INDEX ledger_transfer_statement ON ledger_transfer (org_id, create_time DESC, id DESC)
    WHERE kind IN ('single', 'draw', 'post') AND purpose <> 'excess';
CALL make_tenant_table('ledger_transfer');
GRANT SELECT ON ledger_transfer TO tollbridge_app;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = format('%s is append-only', tg_table_name);
END $$;
CREATE TRIGGER ledger_transfer_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfer
    EXECUTE FUNCTION refuse_change();

-- Holds that are not closed: who must close them, and what the call's usage event says where nobody does.
CREATE TABLE open_hold (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    account_id uuid NOT NULL,
    revenue_id uuid NOT NULL,
    amount bigint NOT NULL,
    -- Charged so far by draws.
    drawn bigint NOT NULL DEFAULT 0 CHECK (drawn BETWEEN 0 AND amount),
    -- An account that pays earlier, too poor for the worst case: it is used up first at settlement.
    spill_id uuid,
    funding text NOT NULL,
    process_id uuid NOT NULL,
    expire_time timestamptz NOT NULL,
    call_id uuid NOT NULL,
    model_id text NOT NULL,
    key_id uuid,
    user_id uuid,
    request_id text NOT NULL,
    streamed boolean NOT NULL,
    create_time timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX open_hold_process ON open_hold (process_id);
CALL make_tenant_table('open_hold');
GRANT SELECT ON open_hold TO tollbridge_app;

-- Definer functions see every tenant, so each takes its organization as an argument and refuses another one than the
-- transaction's, where the transaction has one.
CREATE FUNCTION ledger_guard(p_org uuid) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF current_setting('app.org_id', true) <> '' AND current_setting('app.org_id', true)::uuid <> p_org THEN
        RAISE insufficient_privilege USING MESSAGE = 'the transaction belongs to another organization';
    END IF;
END $$;

-- Opens the accounts that every organization has. Repeatable.
CREATE FUNCTION ledger_open_accounts(p_org uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM ledger_guard(p_org);
    INSERT INTO ledger_account (id, org_id, code, normal, floor)
    SELECT ledger_account_id(digit), p_org, code, normal, least_available
    FROM (VALUES ('1', 'wallet', 'C'::"char", 0::bigint), ('7', 'debt', 'D', NULL), ('a', 'revenue', 'C', NULL),
                 ('b', 'provider_excess', 'D', NULL), ('c', 'issuance', 'D', NULL))
        AS account (digit, code, normal, least_available)
    ON CONFLICT DO NOTHING;
    INSERT INTO funding (account_id, org_id, kind)
    SELECT id, org_id, 'wallet' FROM ledger_account WHERE org_id = p_org AND code = 'wallet'
    ON CONFLICT DO NOTHING;
END $$;

-- A fresh id whose first digit says where in the locking order the account stands.
CREATE FUNCTION ledger_account_id(digit text) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (digit || substr(gen_random_uuid()::text, 2))::uuid
$$;

-- Opens a funding account and answers its id: promo credit or a package with a number of its own, or the one credit line.
CREATE FUNCTION ledger_open_funding(
    p_org uuid, p_kind text, p_models text[], p_expire timestamptz, p_description text, p_floor bigint
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_id uuid := ledger_account_id('1');
    v_code text := p_kind;
BEGIN
    PERFORM ledger_guard(p_org);
    IF p_kind <> 'postpaid' THEN
        -- The wallet's row is a lock that every organization has: numbers are given one by one.
        PERFORM FROM ledger_account WHERE org_id = p_org AND code = 'wallet' FOR UPDATE;
        SELECT p_kind || ':' || count(*) + 1 INTO v_code FROM funding WHERE org_id = p_org AND kind = p_kind;
    END IF;
    INSERT INTO ledger_account (id, org_id, code, normal, floor) VALUES (v_id, p_org, v_code, 'C', p_floor);
    INSERT INTO funding (account_id, org_id, kind, models, expire_time, description)
    VALUES (v_id, p_org, p_kind, p_models, p_expire, p_description);
    RETURN v_id;
END $$;

-- Moves money at once. Answers "done", "repeated" (the same id and values before), "mismatch" (the same id, other
-- values) or "below_floor".
CREATE FUNCTION ledger_single(
    p_org uuid, p_id uuid, p_debit uuid, p_credit uuid, p_amount bigint, p_purpose text, p_description text
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_before ledger_transfer;
    v_constraint text;
BEGIN
    PERFORM ledger_guard(p_org);
    PERFORM FROM ledger_account WHERE org_id = p_org AND id IN (p_debit, p_credit) ORDER BY id FOR NO KEY UPDATE;
    SELECT * INTO v_before FROM ledger_transfer WHERE id = p_id;
    IF FOUND THEN
        RETURN CASE WHEN (v_before.kind, v_before.debit_account, v_before.credit_account, v_before.amount,
                          v_before.purpose, v_before.description)
                       = ('single', p_debit, p_credit, p_amount, p_purpose, p_description)
                    THEN 'repeated' ELSE 'mismatch' END;
    END IF;
    INSERT INTO ledger_transfer (id, org_id, kind, debit_account, credit_account, amount, purpose, description)
    VALUES (p_id, p_org, 'single', p_debit, p_credit, p_amount, p_purpose, p_description);
    UPDATE ledger_account SET debits_posted = debits_posted + p_amount WHERE org_id = p_org AND id = p_debit;
    IF NOT FOUND THEN RAISE foreign_key_violation USING MESSAGE = 'no such account to debit'; END IF;
    UPDATE ledger_account SET credits_posted = credits_posted + p_amount WHERE org_id = p_org AND id = p_credit;
    IF NOT FOUND THEN RAISE foreign_key_violation USING MESSAGE = 'no such account to credit'; END IF;
    RETURN 'done';
EXCEPTION WHEN check_violation THEN
    GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
    IF v_constraint = 'ledger_account_floor' THEN RETURN 'below_floor'; END IF;
    RAISE;
END $$;
