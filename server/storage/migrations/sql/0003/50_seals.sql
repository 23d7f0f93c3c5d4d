-- Seals: chains of hashes over ledger and audit, computed after commit, so that a change behind our back is found.

-- Where a row stands among all sealed ones. Numbers are drawn in any order and some are lost with what was rolled back;
-- whoever draws one has locked the table before, which is how the sealer knows who may still commit below a number.
CREATE SEQUENCE sealed_position;
GRANT USAGE ON SEQUENCE sealed_position TO tollbridge_app, tollbridge_platform;
GRANT SELECT ON SEQUENCE sealed_position TO tollbridge_keeper;

ALTER TABLE ledger_transfer
    ADD COLUMN position bigint NOT NULL DEFAULT nextval('sealed_position') CHECK (position > 0);
CREATE INDEX ledger_transfer_position ON ledger_transfer (position);

ALTER TABLE audit_entry
    ADD COLUMN position bigint NOT NULL DEFAULT nextval('sealed_position') CHECK (position > 0);
CREATE INDEX audit_entry_position ON audit_entry (position);

-- Who writes entries chooses neither their time nor their place.
REVOKE INSERT ON audit_entry FROM tollbridge_app, tollbridge_platform;
GRANT INSERT (id, org_id, actor_kind, actor_id, action, subject, request_id, ip) ON audit_entry
    TO tollbridge_app, tollbridge_platform;

-- A round seals every row of a range of positions, whosever it is. Rounds are a chain of their own over the seals that
-- they made, so that the last seal of an organization cannot be taken away either.
CREATE TABLE seal_round (
    number bigint PRIMARY KEY CHECK (number > 0),
    -- Behind the first position of the range: where the round before ended.
    after_position bigint NOT NULL,
    through_position bigint NOT NULL CHECK (through_position > after_position),
    seal_count bigint NOT NULL,
    -- SHA-256 over the hashes of its seals, in the order of chain and organization.
    content bytea NOT NULL,
    -- Hash of the round before; zeros for the first.
    previous bytea NOT NULL,
    hash bytea NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);

-- One organization's rows of one round. No foreign keys: a chain outlives its organization.
CREATE TABLE seal (
    org_id uuid NOT NULL,
    -- "audit" or "ledger".
    chain text NOT NULL,
    -- 1, 2, 3 in each organization's chain.
    number bigint NOT NULL CHECK (number > 0),
    round bigint NOT NULL,
    -- Of the rows that are sealed.
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    row_count bigint NOT NULL,
    -- SHA-256 over the rows' hashes, in the order of their positions.
    content bytea NOT NULL,
    -- Hash of the seal before; zeros for the first.
    previous bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (org_id, chain, number)
);
CREATE UNIQUE INDEX seal_round_of ON seal (round, chain, org_id);
CALL make_tenant_table('seal');
CREATE POLICY keeper_writes ON seal FOR INSERT TO tollbridge_keeper WITH CHECK (true);

GRANT SELECT, INSERT ON seal, seal_round TO tollbridge_keeper;
GRANT SELECT ON seal_round TO tollbridge_platform;
CREATE TRIGGER seal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON seal EXECUTE FUNCTION refuse_change();
CREATE TRIGGER seal_round_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON seal_round
    EXECUTE FUNCTION refuse_change();

-- The sealer's place; one row. Everything up to `position` is visible for good once the transactions in `writers`
-- have ended.
CREATE TABLE seal_mark (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL DEFAULT 0,
    -- Virtual transaction ids, as pg_locks shows them.
    writers text[] NOT NULL DEFAULT '{}',
    mark_time timestamptz NOT NULL DEFAULT now(),
    -- The last round and its hash.
    round bigint NOT NULL DEFAULT 0,
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
);
INSERT INTO seal_mark DEFAULT VALUES;
GRANT SELECT, UPDATE ON seal_mark TO tollbridge_keeper;

-- Nightly runs of `verify`: one a night, whoever begins it.
CREATE TABLE verify_run (
    night date PRIMARY KEY,
    begin_time timestamptz NOT NULL,
    -- NULL: it runs, or its process died.
    end_time timestamptz,
    ok boolean,
    lines text[] NOT NULL DEFAULT '{}'
);
GRANT SELECT, INSERT, UPDATE ON verify_run TO tollbridge_keeper;
GRANT SELECT ON verify_run TO tollbridge_platform;
