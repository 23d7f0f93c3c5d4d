-- When each piece of background work that is done once per database was last done, by whichever process.
CREATE TABLE background_run (
    name text PRIMARY KEY,
    run_time timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON background_run TO tollbridge_keeper;
