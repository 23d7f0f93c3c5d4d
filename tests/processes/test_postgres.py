"""The embedded PostgreSQL, for real: each test makes a cluster of its own."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.postgres_binaries import find_postgres
from tests.processes.ordinary_user import OrdinaryUser
from tests.processes.processes import wait_until_gone


def _ask(postgres: EmbeddedPostgres, query: str, database: str = "postgres") -> object:
    return asyncio.run(_query(postgres.dsn("postgres", database), query))


async def _query(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def test_data_survives_a_restart_and_nobody_else_gets_in(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder / "pg", {"log_min_messages": "info"})
    postgres.start()
    try:
        postgres.ensure_database("toll")
        postgres.ensure_database("toll")
        _ask(postgres, "CREATE TABLE kept AS SELECT 7 AS n", "toll")
        assert _ask(postgres, "SHOW log_min_messages") == "info"
        assert _ask(postgres, "SHOW server_encoding") == "UTF8"
        assert _ask(postgres, "SHOW listen_addresses") == ""
        socket_folder = Path(str(_ask(postgres, "SHOW unix_socket_directories")))
        assert socket_folder.stat().st_mode & 0o077 == 0
        assert (folder / "pg" / "data").stat().st_mode & 0o077 == 0
        assert os.getsid(postgres.pid) == postgres.pid
        first = postgres.pid
    finally:
        postgres.stop()
    wait_until_gone([first], 1)
    assert not socket_folder.exists()
    postgres.start()
    try:
        assert _ask(postgres, "SELECT n FROM kept", "toll") == 7
    finally:
        postgres.stop()
        postgres.stop()


def test_a_folder_too_long_for_a_socket_works(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder / ("long" * 30) / "pg")
    postgres.start()
    try:
        assert _ask(postgres, "SELECT 1") == 1
        socket_folder = Path(str(_ask(postgres, "SHOW unix_socket_directories")))
        assert folder not in socket_folder.parents
        assert socket_folder.stat().st_mode & 0o077 == 0
    finally:
        postgres.stop()
    assert not socket_folder.exists()


def test_a_killed_launcher_takes_the_server_along_and_the_next_one_starts(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.processes.launched", "postgres", str(folder / "pg")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as launcher:
        assert launcher.stdout is not None
        server = json.loads(launcher.stdout.readline())["pid"]
        again = EmbeddedPostgres(folder / "pg")
        with pytest.raises(EmbeddedServiceError, match="already in use"):
            again.start()
        launcher.kill()
    try:
        again.start()
        # It waits for the old server to be gone, so nothing has to be waited for here.
        wait_until_gone([server], 0)
        assert _ask(again, "SELECT 1") == 1
    finally:
        again.stop()


def test_a_pid_file_that_names_another_program_is_stale(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder / "pg")
    postgres.start()
    postgres.stop()
    # What a killed machine leaves, with a number that a program of ours got since.
    (folder / "pg" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}\n")
    postgres.start()
    try:
        assert _ask(postgres, "SELECT 1") == 1
    finally:
        postgres.stop()


def test_an_ordinary_user_can_run_it(folder: Path, ordinary_user: OrdinaryUser) -> None:
    end = ordinary_user.run(["-m", "tests.processes.launched", "postgres", str(folder / "pg")], folder)
    assert end.returncode == 0, end.stderr
    assert (folder / "pg" / "data").stat().st_uid == ordinary_user.id
    if os.geteuid() == 0:
        with pytest.raises(EmbeddedServiceError, match=f"belongs to user {ordinary_user.id}"):
            EmbeddedPostgres(folder / "pg").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another identity")
def test_root_runs_it_as_nobody_where_that_was_recorded(folder: Path) -> None:
    (folder / "pg").mkdir(mode=0o711)
    (folder / "pg" / "runs-as").write_text("nobody 65534\n")
    postgres = EmbeddedPostgres(folder / "pg")
    postgres.start()
    try:
        assert _ask(postgres, "SELECT 1") == 1
        assert Path(f"/proc/{postgres.pid}").stat().st_uid == (folder / "pg" / "data").stat().st_uid != 0
    finally:
        postgres.stop()
    folder.chmod(0o700)
    with pytest.raises(EmbeddedServiceError, match=f"nobody here, who may not enter {folder}"):
        postgres.start()


def test_a_failing_initdb_is_quoted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLBRIDGE_PG_BIN", str(_programs(folder, "echo 'postgres (PostgreSQL) 17.2'")))
    postgres = EmbeddedPostgres(folder / "pg")
    with pytest.raises(EmbeddedServiceError, match=r"initdb failed(.|\n)*no space for a cluster"):
        postgres.start()
    # Nothing half done is left that a later start would take for a cluster.
    assert not (folder / "pg" / "data").exists()
    assert not (folder / "pg" / "data.new").exists()


def test_a_chosen_folder_of_programs_must_hold_a_recent_postgresql(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLBRIDGE_PG_BIN", str(_programs(folder, "echo 'postgres (PostgreSQL) 14.9'")))
    with pytest.raises(EmbeddedServiceError, match="TOLLBRIDGE_PG_BIN="):
        find_postgres()
    monkeypatch.delenv("TOLLBRIDGE_PG_BIN")
    assert find_postgres().major >= 15


def test_a_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(EmbeddedServiceError, match=f"The data directory {folder}/file/pg cannot be made"):
        EmbeddedPostgres(folder / "file" / "pg").start()


def _programs(folder: Path, postgres: str) -> Path:
    programs = folder / "bin"
    programs.mkdir(mode=0o755)
    for name, line in (("postgres", postgres), ("initdb", "echo 'no space for a cluster'; exit 1")):
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    return programs
