-- Spend leases: a process reserves money for many calls at once and admits them in its own memory.
--
-- A lease is a row that stays the same for life and a pending transfer that is replaced whenever the lease grows,
-- shrinks or ends, so that transfers stay what they are: a hold that is drawn on, then closed once.

CREATE TABLE spend_lease (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL,
    -- Who admits calls against it; only that process, or whoever has proved it dead, changes the row.
    process_id uuid NOT NULL,
    account_id uuid NOT NULL,
    revenue_id uuid NOT NULL,
    funding text NOT NULL,
    -- The model that it pays for; empty: every model.
    model_id text NOT NULL,
    pending_id uuid NOT NULL UNIQUE,
    amount bigint NOT NULL,
    -- Charged so far of this pending transfer.
    drawn bigint NOT NULL DEFAULT 0 CHECK (drawn BETWEEN 0 AND amount),
    -- Past it the holder admits nothing; it still settles what it reserved, so expiry alone closes nothing.
    expire_time timestamptz NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX spend_lease_process ON spend_lease (process_id);
CREATE INDEX spend_lease_organization ON spend_lease (org_id);
CALL make_tenant_table('spend_lease');
GRANT SELECT ON spend_lease TO tollbridge_app;

-- What the provider reported beyond what was reserved, lately.
CREATE INDEX ledger_transfer_excess ON ledger_transfer (org_id, create_time) WHERE purpose = 'excess';

-- How many processes compete for money: those with a heartbeat within ten seconds, at least one.
CREATE FUNCTION ledger_processes() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT greatest(count(*), 1) FROM process WHERE heartbeat_time > clock_timestamp() - interval '10 seconds'
$$;

-- Reserves money for many calls of `p_worst` each, from the account that would pay for the next one: `p_wanted`, but
-- no more than a fair part of what is available (a quarter, divided by the processes). Answers no amount where leasing
-- is not right and a hold for each call is: less than one call's worst case would come of it, a nearly empty account
-- pays first, the provider's excess of a day has passed a dollar, nothing pays at all, or there is no plan.
-- `scope`: the one model that the lease pays for, empty for every model. `seconds`: how long calls may be admitted.
CREATE FUNCTION ledger_lease_open(
    p_org uuid, p_id uuid, p_pending uuid, p_process uuid, p_model text, p_worst bigint, p_wanted bigint,
    p_seconds double precision,
    OUT account uuid, OUT funding text, OUT amount bigint, OUT available bigint, OUT plan text, OUT scope text,
    OUT seconds double precision
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_row record;
    v_revenue uuid;
    v_free bigint;
    v_chosen bigint;
    v_expire timestamptz;
BEGIN
    PERFORM ledger_guard(p_org);
    SELECT s.plan_id INTO plan FROM subscription s WHERE s.org_id = p_org AND s.end_time IS NULL;
    IF plan IS NULL THEN RETURN; END IF;
    IF (SELECT coalesce(sum(t.amount), 0) FROM ledger_transfer t WHERE t.org_id = p_org AND t.purpose = 'excess'
            AND t.create_time > now() - interval '1 day') > 1000000000 THEN
        RETURN;
    END IF;
    available := 0; scope := '';
    FOR v_row IN
        SELECT f.account_id, f.kind, f.models, f.expire_time,
               a.credits_posted - a.debits_posted - a.debits_pending - a.floor AS free
        FROM funding f JOIN ledger_account a ON a.id = f.account_id
        WHERE f.org_id = p_org AND f.kind <> 'included' AND (f.expire_time IS NULL OR f.expire_time > now())
        ORDER BY f.rank, f.expire_time, f.account_id
    LOOP
        -- Another model may be paid for by another account: then a lease is for one model only.
        IF v_row.models <> '{}' THEN scope := p_model; END IF;
        CONTINUE WHEN v_row.models <> '{}' AND NOT p_model = ANY (v_row.models);
        available := available + v_row.free;
        CONTINUE WHEN account IS NOT NULL;
        IF v_row.free >= p_worst THEN
            account := v_row.account_id; funding := v_row.kind; v_chosen := v_row.free; v_expire := v_row.expire_time;
        ELSIF v_row.free > 0 THEN
            RETURN;
        END IF;
    END LOOP;
    v_free := least(p_wanted, v_chosen / (4 * ledger_processes()));
    IF account IS NULL OR v_free < p_worst THEN RETURN; END IF;
    UPDATE ledger_account a SET debits_pending = a.debits_pending + v_free
    WHERE a.id = account AND a.credits_posted - a.debits_posted - a.debits_pending - v_free >= a.floor;
    IF NOT FOUND THEN RETURN; END IF;
    UPDATE ledger_account a SET credits_pending = a.credits_pending + v_free
    WHERE a.org_id = p_org AND a.code = 'revenue' AND a.asset = 'USD/9' RETURNING a.id INTO v_revenue;
    INSERT INTO ledger_transfer (id, org_id, kind, debit_account, credit_account, amount, purpose)
    VALUES (p_pending, p_org, 'pending', account, v_revenue, v_free, 'lease');
    seconds := extract(epoch FROM least(now() + make_interval(secs => p_seconds), v_expire) - now());
    INSERT INTO spend_lease (id, org_id, process_id, account_id, revenue_id, funding, model_id, pending_id, amount,
                             expire_time)
    VALUES (p_id, p_org, p_process, account, v_revenue, funding, scope, p_pending, v_free,
            now() + make_interval(secs => seconds));
    amount := v_free;
    available := available - v_free;
END $$;

-- Whether calls may go on being admitted against a lease: there is a plan, the provider's excess of a day is within a
-- dollar, and no account that came in since would pay before the lease's own.
CREATE FUNCTION ledger_lease_is_right(p_lease spend_lease) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM subscription s WHERE s.org_id = p_lease.org_id AND s.end_time IS NULL)
        AND (SELECT coalesce(sum(t.amount), 0) FROM ledger_transfer t
             WHERE t.org_id = p_lease.org_id AND t.purpose = 'excess' AND t.create_time > now() - interval '1 day')
            <= 1000000000
        AND NOT EXISTS (
            SELECT FROM funding own, funding f JOIN ledger_account a ON a.id = f.account_id
            WHERE own.account_id = p_lease.account_id AND f.org_id = p_lease.org_id AND f.kind <> 'included'
              AND (f.expire_time IS NULL OR f.expire_time > now())
              AND (f.models = '{}' OR p_lease.model_id = '' OR p_lease.model_id = ANY (f.models))
              AND a.credits_posted - a.debits_posted - a.debits_pending > a.floor
              AND (f.rank, coalesce(f.expire_time, 'infinity'), f.account_id)
                  < (own.rank, coalesce(own.expire_time, 'infinity'), own.account_id))
$$;

-- Changes what is left of a lease by `p_delta`: grows it by at most that and a fair part of what is available, shrinks
-- it by at most what is left, ends it where nothing remains. With `p_seconds` above 0 it gets a new time, or
-- none at all where it is not right any more. Answers the change, what the account has left to reserve, and the seconds
-- that calls may be admitted for; a change of NULL where there is no such lease.
CREATE FUNCTION ledger_lease_resize(
    p_org uuid, p_id uuid, p_void uuid, p_pending uuid, p_delta bigint, p_seconds double precision,
    OUT delta bigint, OUT available bigint, OUT seconds double precision
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_lease spend_lease;
    v_rest bigint;
    v_free bigint;
    v_expire timestamptz;
BEGIN
    PERFORM ledger_guard(p_org);
    SELECT * INTO v_lease FROM spend_lease WHERE id = p_id AND org_id = p_org;
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM FROM ledger_account WHERE id IN (v_lease.account_id, v_lease.revenue_id) ORDER BY id FOR NO KEY UPDATE;
    SELECT * INTO v_lease FROM spend_lease WHERE id = p_id AND org_id = p_org FOR UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    v_rest := v_lease.amount - v_lease.drawn;
    SELECT a.credits_posted - a.debits_posted - a.debits_pending - a.floor INTO v_free
    FROM ledger_account a WHERE a.id = v_lease.account_id;
    IF p_seconds > 0 AND NOT ledger_lease_is_right(v_lease) THEN
        UPDATE spend_lease SET expire_time = now() WHERE id = p_id;
        delta := 0; available := v_free; seconds := 0;
        RETURN;
    END IF;
    SELECT f.expire_time INTO v_expire FROM funding f WHERE f.account_id = v_lease.account_id;
    delta := CASE
        WHEN p_delta <= 0 THEN greatest(p_delta, -v_rest)
        WHEN v_expire <= now() THEN 0
        ELSE greatest(least(p_delta, v_free / (4 * ledger_processes())), 0)
    END;
    IF p_seconds > 0 THEN
        v_lease.expire_time := least(now() + make_interval(secs => p_seconds), v_expire);
    END IF;
    seconds := extract(epoch FROM v_lease.expire_time - now());
    available := v_free - delta;
    IF delta = 0 AND v_rest > 0 THEN
        UPDATE spend_lease SET expire_time = v_lease.expire_time WHERE id = p_id;
        RETURN;
    END IF;
    UPDATE ledger_account a SET debits_pending = a.debits_pending + delta WHERE a.id = v_lease.account_id;
    UPDATE ledger_account a SET credits_pending = a.credits_pending + delta WHERE a.id = v_lease.revenue_id;
    INSERT INTO ledger_transfer (id, org_id, kind, debit_account, credit_account, amount, pending_id, purpose)
    VALUES (p_void, p_org, 'void', v_lease.account_id, v_lease.revenue_id, v_rest, v_lease.pending_id, 'lease');
    IF v_rest + delta = 0 THEN
        DELETE FROM spend_lease WHERE id = p_id;
        seconds := 0;
        RETURN;
    END IF;
    INSERT INTO ledger_transfer (id, org_id, kind, debit_account, credit_account, amount, purpose)
    VALUES (p_pending, p_org, 'pending', v_lease.account_id, v_lease.revenue_id, v_rest + delta, 'lease');
    UPDATE spend_lease
    SET pending_id = p_pending, amount = v_rest + delta, drawn = 0, expire_time = v_lease.expire_time
    WHERE id = p_id;
END $$;

-- Opens the account that bears what comes in for a lease that is no more. Repeatable. Part of flush_calls.
CREATE FUNCTION ledger_open_bad_debt(p_orgs uuid[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO ledger_account (id, org_id, code, normal)
    SELECT ledger_account_id('d'), org_id, 'bad_debt', 'D' FROM unnest(p_orgs) AS org_id
    ON CONFLICT DO NOTHING
$$;

-- Charges leases, each by one draw: `p_cost` in all, under the transfer id `p_draw`; and the platform what providers
-- reported beyond what was reserved. Where a lease is no more, or has less left than is charged, the platform's
-- `bad_debt` pays: the calls were made. Accounts are locked in ascending id before anything is changed. No role may call
-- it: flush_calls does.
CREATE FUNCTION ledger_draw_many(
    p_lease uuid[], p_org uuid[], p_draw uuid[], p_cost bigint[], p_excess_id uuid[], p_excess bigint[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_bad uuid[];
    v_owed bigint;
BEGIN
    PERFORM FROM ledger_account a WHERE a.id IN (
        SELECT unnest(ARRAY[l.account_id, l.revenue_id]) FROM spend_lease l WHERE l.id = ANY (p_lease)
        UNION SELECT e.id FROM ledger_account e WHERE e.org_id = ANY (p_org) AND e.code IN ('revenue', 'provider_excess')
    ) ORDER BY a.id FOR NO KEY UPDATE;
    PERFORM FROM spend_lease l WHERE l.id = ANY (p_lease) ORDER BY l.id FOR UPDATE;
    SELECT array_agg(c.lease) INTO v_bad
    FROM unnest(p_lease, p_cost) AS c (lease, cost) LEFT JOIN spend_lease l ON l.id = c.lease
    WHERE c.cost > 0 AND (l.id IS NULL OR l.amount - l.drawn < c.cost);
    v_bad := coalesce(v_bad, '{}');
    INSERT INTO ledger_transfer (id, org_id, kind, debit_account, credit_account, amount, pending_id, purpose)
    SELECT c.draw, c.org, 'draw', l.account_id, l.revenue_id, c.cost, l.pending_id, 'usage'
    FROM unnest(p_lease, p_org, p_draw, p_cost) AS c (lease, org, draw, cost) JOIN spend_lease l ON l.id = c.lease
    WHERE c.cost > 0 AND NOT c.lease = ANY (v_bad);
    UPDATE ledger_account a
    SET debits_pending = a.debits_pending - s.cost, debits_posted = a.debits_posted + s.cost
    FROM (SELECT l.account_id, sum(c.cost)::bigint AS cost
          FROM unnest(p_lease, p_cost) AS c (lease, cost) JOIN spend_lease l ON l.id = c.lease
          WHERE NOT c.lease = ANY (v_bad) GROUP BY 1) s
    WHERE a.id = s.account_id AND s.cost > 0;
    UPDATE ledger_account a
    SET credits_pending = a.credits_pending - s.cost, credits_posted = a.credits_posted + s.cost
    FROM (SELECT l.revenue_id, sum(c.cost)::bigint AS cost
          FROM unnest(p_lease, p_cost) AS c (lease, cost) JOIN spend_lease l ON l.id = c.lease
          WHERE NOT c.lease = ANY (v_bad) GROUP BY 1) s
    WHERE a.id = s.revenue_id AND s.cost > 0;
    UPDATE spend_lease l SET drawn = l.drawn + c.cost
    FROM unnest(p_lease, p_cost) AS c (lease, cost) WHERE l.id = c.lease AND c.cost > 0 AND NOT l.id = ANY (v_bad);
    PERFORM ledger_bear(p_org, p_excess_id, p_excess, 'provider_excess', 'excess');
    IF v_bad = '{}' THEN RETURN 0; END IF;
    PERFORM ledger_open_bad_debt(ARRAY(
        SELECT DISTINCT c.org FROM unnest(p_lease, p_org) AS c (lease, org) WHERE c.lease = ANY (v_bad)));
    SELECT array_agg(c.org), array_agg(c.draw), array_agg(c.cost), sum(c.cost)
    INTO p_org, p_draw, p_cost, v_owed
    FROM unnest(p_lease, p_org, p_draw, p_cost) AS c (lease, org, draw, cost) WHERE c.lease = ANY (v_bad);
    PERFORM ledger_bear(p_org, p_draw, p_cost, 'bad_debt', 'usage');
    RETURN v_owed;
END $$;

-- Charges an account of the platform's own in each organization's books. Part of ledger_draw_many.
CREATE FUNCTION ledger_bear(p_org uuid[], p_id uuid[], p_amount bigint[], p_code text, p_purpose text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(p_amount) AS amount WHERE amount > 0) THEN RETURN; END IF;
    INSERT INTO ledger_transfer (id, org_id, kind, debit_account, credit_account, amount, purpose)
    SELECT c.id, c.org, 'single', d.id, r.id, c.amount, p_purpose
    FROM unnest(p_org, p_id, p_amount) AS c (org, id, amount)
    JOIN ledger_account d ON d.org_id = c.org AND d.code = p_code AND d.asset = 'USD/9'
    JOIN ledger_account r ON r.org_id = c.org AND r.code = 'revenue' AND r.asset = 'USD/9'
    WHERE c.amount > 0;
    UPDATE ledger_account a SET credits_posted = a.credits_posted + s.amount
    FROM (SELECT c.org, sum(c.amount)::bigint AS amount FROM unnest(p_org, p_amount) AS c (org, amount) GROUP BY 1) s
    WHERE a.org_id = s.org AND a.code = 'revenue' AND a.asset = 'USD/9' AND s.amount > 0;
    UPDATE ledger_account a SET debits_posted = a.debits_posted + s.amount
    FROM (SELECT c.org, sum(c.amount)::bigint AS amount FROM unnest(p_org, p_amount) AS c (org, amount) GROUP BY 1) s
    WHERE a.org_id = s.org AND a.code = p_code AND a.asset = 'USD/9' AND s.amount > 0;
END $$;

REVOKE ALL ON FUNCTION
    ledger_processes, ledger_lease_open, ledger_lease_is_right, ledger_lease_resize, ledger_open_bad_debt, ledger_draw_many, ledger_bear
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_lease_open, ledger_lease_resize TO tollbridge_app, tollbridge_keeper;
