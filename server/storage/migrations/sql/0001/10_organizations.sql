-- Organizations, people, and who is where.

-- A tenant. Its own id is the tenant column.
CREATE TABLE organization (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    description text NOT NULL DEFAULT '',
    website text NOT NULL DEFAULT '',
    phone text NOT NULL DEFAULT '',
    city text NOT NULL DEFAULT '',
    country text NOT NULL DEFAULT '',
    time_zone text NOT NULL DEFAULT 'UTC',
    suspended_time timestamptz,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    version integer NOT NULL DEFAULT 1
);
CALL make_tenant_table('organization', 'id');
GRANT SELECT, INSERT ON organization TO tollbridge_app;
GRANT UPDATE (name, description, website, phone, city, country, time_zone, update_time, version)
    ON organization TO tollbridge_app;

-- A person. Passwords are a table of their own, because fellow members may read this one.
CREATE TABLE app_user (
    id uuid PRIMARY KEY,
    email text NOT NULL CHECK (email <> ''),
    username text CHECK (username <> ''),
    name text NOT NULL,
    platform_admin boolean NOT NULL DEFAULT false,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL
);
CREATE UNIQUE INDEX app_user_email ON app_user (lower(email));
CREATE UNIQUE INDEX app_user_username ON app_user (lower(username)) WHERE username IS NOT NULL;
CALL make_personal_table('app_user', 'id');
GRANT SELECT, INSERT (id, email, username, name, create_time, update_time) ON app_user TO tollbridge_app;
-- Only the platform's role makes administrators: no request of a tenant can, whatever it smuggles in.
GRANT UPDATE (platform_admin, update_time) ON app_user TO tollbridge_platform;
CREATE POLICY platform_promotes ON app_user FOR UPDATE TO tollbridge_platform USING (true) WITH CHECK (true);

-- A person's place in an organization.
CREATE TABLE membership (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES organization (id),
    user_id uuid NOT NULL REFERENCES app_user (id),
    role text NOT NULL CHECK (role IN ('OWNER', 'ADMIN', 'MEMBER')),
    create_time timestamptz NOT NULL,
    UNIQUE (org_id, user_id)
);
CREATE INDEX membership_user ON membership (user_id, id);
CREATE INDEX membership_page ON membership (org_id, id);
CALL make_tenant_table('membership');
GRANT SELECT, INSERT ON membership TO tollbridge_app;

-- Members of an organization see each other's name and e-mail.
CREATE POLICY fellow_members ON app_user FOR SELECT TO tollbridge_app USING (
    EXISTS (SELECT FROM membership WHERE membership.user_id = app_user.id
        AND membership.org_id = nullif(current_setting('app.org_id', true), '')::uuid));
