"""Starting, stopping and starting again, as an operator does."""

from __future__ import annotations

import json
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.databases import TestDatabase
from tests.support.scratch import scratch_folder
from tests.support.served import command, environment, stop, wait_ready

SECRET = "Zk3vQ9rT1mXw7LbN5cJd8HfGyPqSaUeo0i"


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder() as made:
        yield made


@contextmanager
def serving(folder: Path, *more: str, **variables: str) -> Iterator[dict[str, str]]:
    """Serve in a folder; what its ready file says."""
    ready, log = folder / "ready.json", folder / "serve.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command(folder / "data", ready, *more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(**variables),
        )
    try:
        yield wait_ready(process, ready, log)
    finally:
        if process.poll() is None:
            assert stop(process) == 0, log.read_text()[-4000:]


def get(found: dict[str, str], path: str, key: str) -> httpx2.Response:
    return httpx2.get(found["http"] + path, headers={"Authorization": f"Bearer {key}"}, timeout=20)


def refused(folder: Path, *more: str, **variables: str) -> tuple[str, float]:
    """What a start says that must fail, and how long it took."""
    begin = time.monotonic()
    done = subprocess.run(
        command(folder / "data", folder / "never.json", *more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(**variables),
        check=False,
    )
    assert done.returncode not in {0, -9}, done.stdout
    assert "Traceback" not in done.stderr
    assert not (folder / "never.json").exists()
    return done.stderr + done.stdout, time.monotonic() - begin


def test_a_restart_keeps_keys_and_balances_and_shows_no_secret_again(folder: Path) -> None:
    with serving(folder) as first:
        key = first["api_key"]
        assert stat.S_IMODE((folder / "ready.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / "data" / "bootstrap.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / "data" / "secret").stat().st_mode) == 0o600
        assert json.loads((folder / "data" / "bootstrap.json").read_text())["api_key"] == key
        call = {"model": "smollm2-135m", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx2.post(first["http"] + "/v1/chat/completions", json=call, headers=headers, timeout=30).is_success
        balance = get(first, "/v1/billing/balance", key).json()["balance"]
        assert float(balance) < 100
        text, _ = refused(folder)
        assert "already runs" in text
        login = {"email": first["admin_email"], "password": first["admin_password"]}
        assert httpx2.post(first["http"] + "/v1/auth/login", json=login, timeout=20).is_success
        again = httpx2.post(first["http"] + "/v1/auth/login", json=login, timeout=20)
        assert (again.status_code, again.json()["error"]["code"]) == (403, "password_change_required")
    with serving(folder) as second:
        assert set(second) == {"http", "grpc"}
        assert get(second, "/v1/billing/balance", key).json()["balance"] == balance
        assert len(get(second, "/v1/usage/history", key).json()["events"]) == 1


def test_secrets_outlive_a_kill_before_anybody_was_told(folder: Path) -> None:
    data, log = folder / "data", folder / "killed.log"
    pending = data / "bootstrap.pending.json"
    with log.open("wb") as output:
        killed = subprocess.Popen(
            command(data, folder / "never.json", "--no-local-model"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(),
        )
    give_up = time.monotonic() + 60
    while not pending.exists():
        assert killed.poll() is None, log.read_text()
        assert time.monotonic() < give_up
        time.sleep(0.001)
    killed.kill()
    killed.wait()
    assert stat.S_IMODE(pending.stat().st_mode) == 0o600
    assert not (folder / "never.json").exists()
    with serving(folder, "--no-local-model") as found:
        assert get(found, "/v1/models", found["api_key"]).is_success
        login = {"email": found["admin_email"], "password": found["admin_password"]}
        assert httpx2.post(found["http"] + "/v1/auth/login", json=login, timeout=20).is_success
        assert not pending.exists()
        assert json.loads((data / "bootstrap.json").read_text())["api_key"] == found["api_key"]
    with serving(folder, "--no-local-model") as again:
        assert set(again) == {"http", "grpc"}


def test_another_secret_than_the_database_s_is_named(folder: Path, database: TestDatabase, valkey_url: str) -> None:
    outside = {"DATABASE_URL": database.url, "DATABASE_OWNER_URL": database.owner_url, "REDIS_URL": valkey_url}
    with serving(folder, **outside, JWT_SECRET=SECRET):
        pass
    text, _ = refused(folder, **outside, JWT_SECRET=SECRET[::-1])
    assert "JWT_SECRET" in text


def test_production_makes_no_account_and_takes_no_registration(
    folder: Path, database: TestDatabase, valkey_url: str
) -> None:
    outside = {"ENVIRONMENT": "production", "JWT_SECRET": SECRET, "REDIS_URL": valkey_url}
    text, _ = refused(folder, **outside, DATABASE_URL=database.owner_url)
    assert "superuser" in text
    with serving(folder, **outside, DATABASE_URL=database.url) as found:
        assert set(found) == {"http", "grpc"}
        wish = {"name": "x", "email": "x@example.com", "password": "securepassword"}
        answer = httpx2.post(found["http"] + "/v1/auth/register", json=wish, timeout=20)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "registration_closed")
        assert httpx2.get(found["http"] + "/health/ready", timeout=20).is_success


def test_production_wants_its_schema_migrated_before(
    folder: Path, empty_database: TestDatabase, valkey_url: str
) -> None:
    outside = {"ENVIRONMENT": "production", "JWT_SECRET": SECRET, "REDIS_URL": valkey_url}
    text, _ = refused(folder, **outside, DATABASE_URL=empty_database.url)
    assert "tollbridge migrate" in text


@pytest.mark.parametrize("secret", ["", "short", "changeme-changeme-changeme-changeme", "a" * 64, "1234567890" * 4])
def test_a_weak_secret_stops_production_at_once(folder: Path, secret: str) -> None:
    text, seconds = refused(folder, ENVIRONMENT="production", JWT_SECRET=secret)
    assert "JWT_SECRET" in text
    assert seconds < 10
    assert not (folder / "data" / "postgres").exists()


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ('[[providers]]\nname = "a"\nkind = "openai"\n', "base_url"),
        ('[[models]]\nname = "m"\nprovider = "nobody"\n', "provider"),
        ("[[providers]\n", "line 1"),
        ("nonsense = 1\n", "c.toml:1: nonsense"),
        (
            '\n[[providers]]\nname = "local"\nkind = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n',
            "c.toml:3: providers[0]",
        ),
    ],
)
def test_a_broken_config_file_stops_the_start(folder: Path, config: str, named: str) -> None:
    (folder / "c.toml").write_text(config)
    text, _ = refused(folder, "--config", str(folder / "c.toml"))
    assert "c.toml" in text
    assert named in text


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, "DATABASE_URL"),
        ({"DATABASE_URL": "mysql://x@127.0.0.1:1/x"}, "DATABASE_URL"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "REDIS_URL"),
        ({"TOLLBRIDGE_DEFAULT_PLAN": "nonsense"}, "TOLLBRIDGE_DEFAULT_PLAN"),
        ({"TOLLBRIDGE_KEY_PREFIX": "!"}, "TOLLBRIDGE_KEY_PREFIX"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(folder: Path, variables: dict[str, str], named: str) -> None:
    text, _ = refused(folder, **variables)
    assert named in text
