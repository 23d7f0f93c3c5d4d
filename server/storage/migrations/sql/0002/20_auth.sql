-- Sessions that their person can see and end, the sweep of expired ones, and signing keys that take turns.

ALTER TABLE session
    ADD COLUMN ip text NOT NULL DEFAULT '',
    ADD COLUMN user_agent text NOT NULL DEFAULT '',
    -- Right within a minute.
    ADD COLUMN last_used_time timestamptz;
GRANT UPDATE (ip, user_agent, last_used_time) ON session TO tollbridge_app;
CREATE INDEX session_page ON session (user_id, id);
CREATE INDEX session_expire_time ON session (expire_time);
CREATE INDEX refresh_token_expire_time ON refresh_token (expire_time);

-- Last uses are written for many people at once; what expired is swept.
GRANT UPDATE (last_used_time), DELETE ON session TO tollbridge_keeper;
CREATE POLICY keeper_notes_use ON session FOR UPDATE TO tollbridge_keeper USING (true) WITH CHECK (true);
CREATE POLICY keeper_sweeps ON session FOR DELETE TO tollbridge_keeper USING (true);
GRANT SELECT (session_id, expire_time), DELETE ON refresh_token TO tollbridge_keeper;
CREATE POLICY keeper_sweeps ON refresh_token FOR DELETE TO tollbridge_keeper USING (true);

-- A key is published before it signs, signs until it retires, and goes when the last token of it has expired.
ALTER TABLE signing_key ADD COLUMN activate_time timestamptz;
UPDATE signing_key SET activate_time = create_time;
ALTER TABLE signing_key ALTER COLUMN activate_time SET NOT NULL;
GRANT SELECT, INSERT, UPDATE (retire_time), DELETE ON signing_key TO tollbridge_keeper;
