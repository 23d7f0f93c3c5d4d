"""`tollbridge migrate|users|keys|verify` against a real database, and what they say when something is wrong."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from server.storage.migrate import HEAD, migrate
from tests.support.databases import LOGIN, TestDatabase
from tests.support.served import environment

SECRET = "Zk3vQ9rT1mXw7LbN5cJd8HfGyPqSaUeo0i"


def run(
    database: TestDatabase | None, *arguments: str, status: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """One command, which must end with `status`."""
    urls = {} if database is None else {"DATABASE_URL": database.url, "DATABASE_OWNER_URL": database.owner_url}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli", *arguments],
        env=environment(**{"JWT_SECRET": SECRET, "COLUMNS": "200", **urls, **variables}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def value(name: str, text: str) -> str:
    """What a line `name  value` says."""
    found = re.search(rf"^{re.escape(name)}\s+(\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return found[1]


def test_migrate_may_be_repeated(empty_database: TestDatabase) -> None:
    assert f"revision {HEAD}" in run(empty_database, "migrate").stdout
    assert f"revision {HEAD}" in run(empty_database, "migrate").stdout


def test_migrate_without_rights_prints_the_sql(empty_database: TestDatabase) -> None:
    async def make_login() -> None:
        connection = await asyncpg.connect(empty_database.owner_url)
        try:
            await connection.execute("DROP ROLE IF EXISTS nobody_special; CREATE ROLE nobody_special LOGIN")
        finally:
            await connection.close()

    asyncio.run(make_login())
    url = empty_database.url.replace("tollbridge@", "nobody_special@")
    done = run(None, "migrate", status=1, DATABASE_URL=url)
    assert "GRANT" in done.stdout
    assert "may not create roles" in done.stderr


def test_an_unreachable_database_is_named() -> None:
    done = run(None, "migrate", status=1, DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert "DATABASE_OWNER_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_administrator_is_made_in_production(database: TestDatabase) -> None:
    made = run(database, "users", "create-admin", "--email", "root@example.com", ENVIRONMENT="production").stdout
    first = value("one-time password", made)
    again = run(database, "users", "create-admin", "--email", "root@example.com", ENVIRONMENT="production").stdout
    assert value("organization", again) == value("organization", made)
    assert value("one-time password", again) != first
    listed = run(database, "users", "list").stdout
    assert "root@example.com" in listed
    assert value("organization", made) in listed
    reset = run(database, "users", "reset-password", "root@example.com").stdout
    assert value("one-time password", reset) != first


@pytest.mark.parametrize("email", ["", "nobody", "@"])
def test_a_wrong_email_is_named(database: TestDatabase, email: str) -> None:
    assert "--email" in run(database, "users", "create-admin", f"--email={email}", status=1).stderr


def test_an_unknown_account_has_no_password_to_reset(database: TestDatabase) -> None:
    assert "No such" in run(database, "users", "reset-password", "ghost@example.com", status=1).stderr


def test_a_key_is_made_listed_and_revoked(database: TestDatabase) -> None:
    organization = value("organization", run(database, "users", "create-admin", "--email", "root@example.com").stdout)
    made = run(database, "keys", "create", "--organization", organization, "--name", "ci").stdout
    secret, key = value("secret", made), value("key", made)
    assert secret.startswith("tb_live_")
    listed = run(database, "keys", "list", "--organization", organization).stdout
    assert key in listed
    assert secret not in listed
    assert "revoked" in run(database, "keys", "revoke", key, "--organization", organization).stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("keys", "list", "--organization", "acme"), "--organization"),
        (("keys", "create", "--organization", "org_" + "0" * 26, "--scope", "root"), "--scope"),
        (("keys", "create", "--organization", "org_" + "0" * 26), "No such organization"),
        (("keys", "revoke", "key_1", "--organization", "org_" + "0" * 26), "key_1"),
    ],
)
def test_wrong_arguments_are_named(database: TestDatabase, arguments: tuple[str, ...], named: str) -> None:
    assert named in run(database, *arguments, status=1).stderr


def test_verify_finds_fresh_books_right_and_tampered_ones_wrong(database: TestDatabase) -> None:
    run(database, "users", "create-admin", "--email", "root@example.com")
    assert "WRONG" not in run(database, "verify").stdout

    async def tamper() -> None:
        connection = await asyncpg.connect(database.owner_url)
        try:
            await connection.execute("UPDATE ledger_account SET credits_posted = credits_posted + 1")
        finally:
            await connection.close()

    asyncio.run(tamper())
    assert "WRONG" in run(database, "verify", status=1).stdout


def test_verify_shows_what_the_last_night_found(database: TestDatabase) -> None:
    assert "no nightly run yet" in run(database, "verify", "--last", status=1).stderr

    async def write(ok: bool, line: str) -> None:
        connection = await asyncpg.connect(database.owner_url)
        try:
            await connection.execute(
                "INSERT INTO verify_run VALUES ('2031-05-02', '2031-05-02 03:00+00', '2031-05-02 03:00:09+00', $1, $2)"
                " ON CONFLICT (night) DO UPDATE SET ok = $1, lines = $2",
                *(ok, [line]),
            )
        finally:
            await connection.close()

    asyncio.run(write(True, "ok    all of it"))
    assert run(database, "verify", "--last").stdout.splitlines() == [
        "Run of 2031-05-02 03:00:00 to 03:00:09 UTC",
        "ok    all of it",
    ]
    asyncio.run(write(False, "WRONG all of it"))
    assert "WRONG all of it" in run(database, "verify", "--last", status=1).stdout


def test_no_database_at_all_is_said(tmp_path: Path) -> None:
    assert "There is no database" in run(None, "verify", "--data-dir", str(tmp_path), status=1).stderr


def test_a_weak_secret_is_refused_in_production(database: TestDatabase) -> None:
    done = run(database, "users", "list", status=1, ENVIRONMENT="production", JWT_SECRET="changeme")
    assert "JWT_SECRET" in done.stderr


def test_leases_are_listed_and_a_wrong_one_is_named(database: TestDatabase) -> None:
    assert "dollars left" in run(database, "leases", "list").stdout
    assert "is no lease's id" in run(database, "leases", "forfeit", "x", status=1).stderr
    unknown = "lease_00000000000000000000000001"
    assert f"There is no lease {unknown}" in run(database, "leases", "forfeit", unknown, status=1).stderr


def test_an_older_schema_is_said_and_how_to_renew_it(empty_database: TestDatabase) -> None:
    asyncio.run(migrate(empty_database.owner_url, LOGIN, datetime.now(UTC), "0001"))
    assert "Run `tollbridge migrate`" in run(empty_database, "leases", "list", status=1).stderr
