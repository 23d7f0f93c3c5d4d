-- Passwords, sessions, refresh tokens, and the keys that sign access tokens.

-- A person's password as an argon2id digest. A one-time password signs in once, at `use_time`.
CREATE TABLE user_password (
    user_id uuid PRIMARY KEY REFERENCES app_user (id),
    digest text NOT NULL,
    one_time boolean NOT NULL,
    use_time timestamptz,
    change_time timestamptz NOT NULL
);
CALL make_personal_table('user_password');
-- Nobody who reads all people reads their digests.
REVOKE SELECT ON user_password FROM tollbridge_keeper, tollbridge_platform;
GRANT SELECT (user_id, one_time, use_time, change_time) ON user_password TO tollbridge_platform;
GRANT SELECT, INSERT ON user_password TO tollbridge_app;
GRANT UPDATE (digest, one_time, use_time, change_time) ON user_password TO tollbridge_app;

-- A signed-in person, in one organization, until expiry or revocation.
CREATE TABLE session (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES app_user (id),
    org_id uuid NOT NULL REFERENCES organization (id),
    create_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    revoke_time timestamptz
);
CREATE INDEX session_by_user ON session (user_id) WHERE revoke_time IS NULL;
CALL make_personal_table('session');
GRANT SELECT, INSERT ON session TO tollbridge_app;
GRANT UPDATE (expire_time, revoke_time) ON session TO tollbridge_app;

-- Refresh tokens, as keyed digests. A used one stays, so that its second use is recognised.
CREATE TABLE refresh_token (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    session_id uuid NOT NULL REFERENCES session (id),
    user_id uuid NOT NULL REFERENCES app_user (id),
    create_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    use_time timestamptz
);
CREATE INDEX refresh_token_session ON refresh_token (session_id);
CALL make_personal_table('refresh_token');
REVOKE SELECT ON refresh_token FROM tollbridge_keeper, tollbridge_platform;
GRANT SELECT, INSERT ON refresh_token TO tollbridge_app;
GRANT UPDATE (use_time) ON refresh_token TO tollbridge_app;

-- Ed25519 keys of the deployment; the private half is sealed under a key that is not in the database.
CREATE TABLE signing_key (
    kid text PRIMARY KEY,
    sealed_private_key bytea NOT NULL,
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    create_time timestamptz NOT NULL,
    -- Signs nothing new from here on.
    retire_time timestamptz
);
GRANT SELECT, INSERT ON signing_key TO tollbridge_app;

-- The account behind an e-mail or user name, with its oldest membership. User names hold no "@", so the two never mix.
CREATE FUNCTION lookup_account(login text)
RETURNS TABLE (user_id uuid, email text, username text, name text, platform_admin boolean, create_time timestamptz,
    password_digest text, one_time boolean, org_id uuid, suspended boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT u.id, u.email, u.username, u.name, u.platform_admin, u.create_time, p.digest, p.one_time,
           o.id, o.suspended_time IS NOT NULL
    FROM app_user u
    JOIN user_password p ON p.user_id = u.id
    JOIN membership m ON m.user_id = u.id
    JOIN organization o ON o.id = m.org_id
    WHERE lower(u.email) = lower(login) OR lower(u.username) = lower(login)
    ORDER BY m.id
    LIMIT 1
$$;

-- A session that was not revoked, with what its person may do now. Expiry is the caller's to judge.
CREATE FUNCTION lookup_session(session_id uuid)
RETURNS TABLE (user_id uuid, org_id uuid, role text, expire_time timestamptz, suspended boolean,
    platform_admin boolean, password_change_required boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT s.user_id, s.org_id, m.role, s.expire_time, o.suspended_time IS NOT NULL, u.platform_admin, p.one_time
    FROM session s
    JOIN membership m ON m.org_id = s.org_id AND m.user_id = s.user_id
    JOIN organization o ON o.id = s.org_id
    JOIN app_user u ON u.id = s.user_id
    JOIN user_password p ON p.user_id = s.user_id
    WHERE s.id = session_id AND s.revoke_time IS NULL
$$;

-- Whose a refresh token is, used or not.
CREATE FUNCTION lookup_refresh_token(token_digest bytea)
RETURNS TABLE (session_id uuid, user_id uuid, org_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT s.id, s.user_id, s.org_id
    FROM refresh_token t JOIN session s ON s.id = t.session_id
    WHERE t.digest = token_digest
$$;

REVOKE ALL ON FUNCTION lookup_account(text), lookup_session(uuid), lookup_refresh_token(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_account(text), lookup_session(uuid), lookup_refresh_token(bytea)
    TO tollbridge_lookup;
