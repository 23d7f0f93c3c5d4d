-- Providers, the models that calls can name, and what they cost. The same for every organization, except agreed prices.

CREATE TABLE provider (
    name text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('openai')),
    base_url text NOT NULL,
    -- AES-256-GCM, bound to "provider.sealed_credential/<name>".
    sealed_credential bytea NOT NULL,
    -- False for what earlier configurations named and the last one does not; calls in flight still find their row.
    enabled boolean NOT NULL DEFAULT true,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL
);
GRANT SELECT ON provider TO tollbridge_app, tollbridge_keeper, tollbridge_platform;

CREATE TABLE model (
    id text PRIMARY KEY,
    provider text NOT NULL REFERENCES provider,
    -- Its name at the provider.
    upstream text NOT NULL,
    context_tokens bigint NOT NULL CHECK (context_tokens > 0),
    max_output_tokens bigint NOT NULL CHECK (max_output_tokens > 0),
    -- NULL: unknown, so that input is bounded by its bytes.
    tokenizer text CHECK (tokenizer IN ('o200k_base', 'cl100k_base')),
    -- The only way to be called without a price.
    free boolean NOT NULL,
    reasoning boolean NOT NULL,
    max_tokens_field text NOT NULL CHECK (max_tokens_field IN ('max_tokens', 'max_completion_tokens')),
    -- Most tokens that one part can count; NULL: such parts have no bound and are refused.
    image_max_tokens bigint CHECK (image_max_tokens > 0),
    audio_second_max_tokens bigint CHECK (audio_second_max_tokens > 0),
    file_max_tokens bigint CHECK (file_max_tokens > 0),
    -- Whether the provider understands stream_options.include_usage.
    stream_usage boolean NOT NULL,
    -- Order in the list of models.
    position integer NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL
);
GRANT SELECT ON model TO tollbridge_app, tollbridge_keeper, tollbridge_platform;

-- One number for every row that makes a price, whichever table it is in, so that a usage event names what priced it.
CREATE SEQUENCE price_number AS integer;

-- List prices: nano-dollars per million tokens of five disjoint classes. A change is a new row; rows never change.
CREATE TABLE price_version (
    version integer PRIMARY KEY DEFAULT nextval('price_number'),
    model_id text NOT NULL REFERENCES model,
    input bigint NOT NULL CHECK (input >= 0),
    cache_read bigint NOT NULL CHECK (cache_read >= 0),
    cache_write bigint NOT NULL CHECK (cache_write >= 0),
    output bigint NOT NULL CHECK (output >= 0),
    reasoning bigint NOT NULL CHECK (reasoning >= 0),
    effective_time timestamptz NOT NULL,
    -- Set where the configuration stopped naming a price: from then on the model has none.
    end_time timestamptz
);
CREATE INDEX price_version_in_force ON price_version (model_id, effective_time DESC, version DESC);
GRANT SELECT ON price_version TO tollbridge_app, tollbridge_keeper, tollbridge_platform;

-- What an organization agreed on, instead of list price and markup.
CREATE TABLE organization_price (
    version integer PRIMARY KEY DEFAULT nextval('price_number'),
    org_id uuid NOT NULL REFERENCES organization (id),
    model_id text NOT NULL REFERENCES model,
    input bigint NOT NULL CHECK (input >= 0),
    cache_read bigint NOT NULL CHECK (cache_read >= 0),
    cache_write bigint NOT NULL CHECK (cache_write >= 0),
    output bigint NOT NULL CHECK (output >= 0),
    reasoning bigint NOT NULL CHECK (reasoning >= 0),
    effective_time timestamptz NOT NULL
);
CREATE INDEX organization_price_in_force ON organization_price (org_id, model_id, effective_time DESC, version DESC);
CALL make_tenant_table('organization_price');
GRANT SELECT ON organization_price TO tollbridge_app;

-- What the platform adds to list prices: the model's own row if there is one, else the row for all models.
CREATE TABLE price_markup (
    version integer PRIMARY KEY DEFAULT nextval('price_number'),
    model_id text REFERENCES model,
    parts_per_million bigint NOT NULL CHECK (parts_per_million BETWEEN 0 AND 1000000000),
    effective_time timestamptz NOT NULL
);
CREATE INDEX price_markup_in_force ON price_markup (model_id, effective_time DESC, version DESC);
GRANT SELECT ON price_markup TO tollbridge_app, tollbridge_keeper, tollbridge_platform;

-- The keeper applies the configuration file at each start.
GRANT INSERT, UPDATE ON provider, model TO tollbridge_keeper;
GRANT INSERT, UPDATE (end_time) ON price_version TO tollbridge_keeper;
GRANT USAGE ON SEQUENCE price_number TO tollbridge_keeper;
