#!/bin/sh
# Makes the runtime login on a new database; `tollbridge migrate` finds it and grants it the runtime roles.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --set password="$TOLLBRIDGE_DATABASE_PASSWORD" \
    --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE tollbridge LOGIN NOINHERIT PASSWORD :'password';
SQL
