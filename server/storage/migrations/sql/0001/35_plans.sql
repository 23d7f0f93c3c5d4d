-- Plans: what an organization subscribes to. Limits and prices are versioned, so that a change meets new subscriptions only.

CREATE TABLE plan (
    id text PRIMARY KEY,
    name text NOT NULL,
    description text NOT NULL,
    -- Plans that stand together on a price page.
    family text NOT NULL,
    -- Whether calls within the limits cost nothing beyond the plan's price.
    included boolean NOT NULL,
    -- False: given by an operator, shown only to whoever is on it.
    offered boolean NOT NULL
);
GRANT SELECT ON plan TO tollbridge_app, tollbridge_keeper, tollbridge_platform;

CREATE TABLE plan_version (
    plan_id text NOT NULL REFERENCES plan,
    version integer NOT NULL CHECK (version > 0),
    -- Nano-dollars a month.
    price bigint NOT NULL CHECK (price >= 0),
    -- NULL: no such limit.
    requests_per_minute bigint CHECK (requests_per_minute >= 0),
    requests_per_hour bigint CHECK (requests_per_hour >= 0),
    requests_per_day bigint CHECK (requests_per_day >= 0),
    tokens_per_minute bigint CHECK (tokens_per_minute >= 0),
    tokens_per_day bigint CHECK (tokens_per_day >= 0),
    tokens_per_month bigint CHECK (tokens_per_month >= 0),
    burst bigint CHECK (burst >= 0),
    concurrency bigint CHECK (concurrency >= 0),
    PRIMARY KEY (plan_id, version)
);
GRANT SELECT ON plan_version TO tollbridge_app, tollbridge_keeper, tollbridge_platform;

-- Which version an organization is on. One row at a time has no end.
CREATE TABLE subscription (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES organization (id),
    plan_id text NOT NULL,
    plan_version integer NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz CHECK (end_time >= start_time),
    FOREIGN KEY (plan_id, plan_version) REFERENCES plan_version
);
CREATE UNIQUE INDEX subscription_current ON subscription (org_id) WHERE end_time IS NULL;
CALL make_tenant_table('subscription');
GRANT SELECT, INSERT ON subscription TO tollbridge_app;
GRANT UPDATE (end_time) ON subscription TO tollbridge_app;

INSERT INTO plan (id, name, description, family, included, offered) VALUES
    ('unlimited', 'Unlimited', 'No limits; calls are paid from the balance.', 'platform', false, false),
    ('free', 'Free', 'For trying things out; calls are paid from the balance.', 'platform', false, true),
    ('pro', 'Pro', 'For products with users; calls are paid from the balance.', 'platform', false, true),
    ('enterprise', 'Enterprise', 'No limits, agreed terms; calls are paid from the balance.', 'platform', false, true),
    ('baby-free', 'Baby Free', 'A first look, every day anew.', 'daily', true, true),
    ('leveler', 'Leveler', 'For a few conversations a day.', 'daily', true, true),
    ('log-min', 'Log Min', 'For daily work.', 'daily', true, true),
    ('high-max', 'High Max', 'For heavy daily use.', 'daily', true, true);

INSERT INTO plan_version
    (plan_id, version, price, requests_per_minute, requests_per_hour, requests_per_day, tokens_per_day)
VALUES
    ('unlimited', 1, 0, NULL, NULL, NULL, NULL),
    ('free', 1, 0, 100, 1000, NULL, NULL),
    ('pro', 1, 49000000000, NULL, 10000, NULL, NULL),
    ('enterprise', 1, 499000000000, NULL, NULL, NULL, NULL),
    ('baby-free', 1, 0, NULL, NULL, 10, 1000),
    ('leveler', 1, 4000000000, NULL, NULL, 100, 5000),
    ('log-min', 1, 10000000000, NULL, NULL, 500, 20000),
    ('high-max', 1, 100000000000, NULL, NULL, 2000, 100000);
