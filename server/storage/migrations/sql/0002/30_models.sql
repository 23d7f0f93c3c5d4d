-- Profiles: models under a name of the platform's own, each with an identity prompt that goes before every conversation.

CREATE TABLE profile (
    -- The name that calls use. Never that of a model in use: both are looked up in one list.
    id text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    model_id text NOT NULL REFERENCES model,
    prompt text NOT NULL CHECK (prompt <> '' AND char_length(prompt) <= 32000),
    description text NOT NULL,
    owned_by text NOT NULL CHECK (owned_by <> ''),
    -- Sent where the caller sends none; NULL: the provider's own.
    temperature double precision CHECK (temperature BETWEEN 0 AND 2),
    -- Most tokens of an answer; NULL: the model's.
    max_output_tokens bigint CHECK (max_output_tokens > 0),
    -- True: from the configuration file, which alone changes and removes it.
    configured boolean NOT NULL,
    version integer NOT NULL DEFAULT 1,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL
);
GRANT SELECT ON profile TO tollbridge_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON profile TO tollbridge_platform, tollbridge_keeper;
