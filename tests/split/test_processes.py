"""Server, bridge and jobs from start to drain."""

from __future__ import annotations

import signal
import ssl
import time
from pathlib import Path

import httpx2
import pytest

from tests.split.conftest import Start
from tests.support import split
from tests.support.certificates import Authority
from tests.support.databases import TestDatabase
from tests.support.no_grpc import something_else
from tests.support.split import BRIDGE_SECRET, refused

LOGIN = {"email": "nobody@example.com", "password": "not the password"}


def sign_in(http: str, **options: object) -> httpx2.Response:
    """A call that reaches the database and is logged with its origin."""
    return httpx2.post(f"{http}/v1/auth/login", json=LOGIN, timeout=20, **options)  # type: ignore[arg-type]


def addresses(running: split.Running) -> list[object]:
    """Where the server believed its calls to come from."""
    return [line["ip"] for line in running.events("call")]


def test_a_bridge_serves_what_the_server_answers_and_all_stop_cleanly(
    server: Start, bridge: Start, folder: Path, variables: dict[str, str]
) -> None:
    jobs = ("jobs", "--status-port", "0", "--data-dir", str(folder / "data"))
    with (
        server("server", "--status-port", "0", "--no-jobs", BRIDGE_SECRET=BRIDGE_SECRET) as core,
        split.running(folder, "jobs", *jobs, **variables) as background,
        bridge("bridge", core.facts["grpc"], BRIDGE_SECRET=BRIDGE_SECRET) as edge,
    ):
        http = edge.facts["http"]
        answer = sign_in(http, headers={"X-Forwarded-For": "203.0.113.66"})
        assert answer.status_code == 401, answer.text
        (call,) = core.events("call")
        # Told by the bridge, and not what a stranger wrote into a header.
        assert call["ip"] == "127.0.0.1"
        assert call["request_id"] == answer.headers["x-request-id"]

        assert httpx2.get(f"{http}/health").status_code == 200
        assert httpx2.get(f"{http}/health/ready").json()["status"] == "ready"
        assert "tollbridge_http_requests_total" in httpx2.get(f"{http}/metrics").text
        for process in (core, background):
            assert httpx2.get(f"{process.facts['status']}/health/ready").status_code == 200
            assert "python_info" in httpx2.get(f"{process.facts['status']}/metrics").text
        assert "tollbridge_calls_total" in httpx2.get(f"{core.facts['status']}/metrics").text

        assert core.stop() == 0
        assert httpx2.get(f"{http}/health").status_code == 200
        assert httpx2.get(f"{http}/health/ready").status_code == 503
        refusal = sign_in(http)
        assert refusal.status_code == 503
        assert int(refusal.headers["retry-after"]) >= 1
        assert edge.stop(signal.SIGINT) == 0
        assert background.stop() == 0
    assert not list(folder.glob("*.ready"))


def test_a_bridge_uses_each_of_several_servers_and_one_that_comes_back(server: Start, bridge: Start) -> None:
    with server("first", BRIDGE_SECRET=BRIDGE_SECRET) as first, server("second", BRIDGE_SECRET=BRIDGE_SECRET) as second:
        ports = [running.facts["grpc"].rpartition(":")[2] for running in (first, second)]
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        with bridge("bridge", target, BRIDGE_SECRET=BRIDGE_SECRET) as edge:
            for _ in range(8):
                assert sign_in(edge.facts["http"]).status_code in {401, 429}
            assert len(addresses(first)) >= 3
            assert len(addresses(second)) >= 3
            assert first.stop() == 0
            for _ in range(4):
                assert sign_in(edge.facts["http"]).status_code in {401, 429}
            with server("first", "--grpc-port", ports[0], BRIDGE_SECRET=BRIDGE_SECRET) as again:
                give_up = time.monotonic() + 20
                while not addresses(again):
                    assert time.monotonic() < give_up, "the server that came back is not used"
                    assert sign_in(edge.facts["http"]).status_code in {401, 429}


def test_tls_everywhere_and_a_certificate_as_the_bridges_proof(server: Start, bridge: Start, folder: Path) -> None:
    authority = Authority(folder)
    core_pair, edge_pair = authority.issue("server"), authority.issue("edge")
    own, stranger = authority.issue("bridge", ["bridge.internal"]), authority.issue("service", ["service.internal"])
    tls = ("--tls-cert", str(core_pair.certificate), "--tls-key", str(core_pair.key))
    known = ("--client-ca", str(authority.file), "--bridge-names", "bridge.internal")
    with server("server", *tls, *known) as core:
        port = core.facts["grpc"].rpartition(":")[2]
        towards = ("--target-ca", str(authority.file))
        https = ("--tls-cert", str(edge_pair.certificate), "--tls-key", str(edge_pair.key))
        me = ("--client-cert", str(own.certificate), "--client-key", str(own.key))
        with bridge("bridge", f"localhost:{port}", *towards, *https, *me) as edge:
            address = edge.facts["http"].replace("127.0.0.1", "localhost")
            with httpx2.Client(verify=ssl.create_default_context(cafile=str(authority.file))) as client:
                answer = client.post(f"{address}/v1/auth/login", json=LOGIN, timeout=20)
            assert answer.status_code == 401
            assert [line["request_id"] for line in core.events("call")] == [answer.headers["x-request-id"]]
        other = ("--client-cert", str(stranger.certificate), "--client-key", str(stranger.key))
        with bridge("stranger", f"localhost:{port}", *towards, *other) as edge:
            answer = sign_in(edge.facts["http"])
            assert answer.status_code == 401
            # Its certificate opens the port, its word about the origin is not taken.
            assert core.events("call")[-1]["request_id"] == answer.headers["x-request-id"]
            assert [line["claim"] for line in core.events("metadata_stripped")] == ["origin_without_proof"]


def test_a_target_that_is_no_grpc_server_stops_the_start(folder: Path) -> None:
    with something_else() as port:
        status, said = refused(folder, "bridge", "bridge", "--http-port", "0", "--target", f"127.0.0.1:{port}")
    assert status == 1
    assert f"--target 127.0.0.1:{port}: what listens there is no gRPC server" in said


def test_a_bridge_may_start_before_its_server(bridge: Start) -> None:
    # In production, and without a secret of the server's: neither is wanted of a bridge.
    with bridge("bridge", "127.0.0.1:1", ENVIRONMENT="production") as edge:
        assert sign_in(edge.facts["http"]).status_code == 503
        assert edge.events("no_server_yet")


@pytest.mark.parametrize(
    ("command", "without", "more", "expected", "sentence"),
    [
        ("server", "DATABASE_URL", {}, 2, "DATABASE_URL is not set"),
        ("server", "", {"BRIDGE_SECRET": "short"}, 2, "BRIDGE_SECRET: is shorter than 32 characters"),
        ("server", "", {"JOURNAL_DIR": "/proc/nowhere"}, 1, "JOURNAL_DIR: /proc/nowhere cannot be written"),
        ("server", "", {}, 1, "run `tollbridge migrate`"),
        ("jobs", "", {}, 1, "run `tollbridge migrate`"),
    ],
)
def test_what_a_server_and_jobs_need_is_named(
    folder: Path,
    empty_database: TestDatabase,
    valkey_url: str,
    command: str,
    without: str,
    more: dict[str, str],
    expected: int,
    sentence: str,
) -> None:
    found = {"DATABASE_URL": empty_database.url, "REDIS_URL": valkey_url, "JWT_SECRET": split.ROOT_SECRET, **more}
    found.pop(without, None)
    status, said = refused(folder, "process", command, "--data-dir", str(folder), **found)
    assert (status, sentence in said, "Traceback" in said) == (expected, True, False), said


def test_jobs_work_only_by_the_root_secret_of_their_database(
    folder: Path, server: Start, variables: dict[str, str]
) -> None:
    """They make signing keys when these are due, and no server could open one that another secret sealed."""
    with server("server"):
        pass
    another = {**variables, "JWT_SECRET": split.ROOT_SECRET[::-1]}
    status, said = refused(folder, "jobs", "jobs", "--data-dir", str(folder / "data"), **another)
    assert (status, "made with another root secret" in said, "Traceback" in said) == (1, True, False), said
