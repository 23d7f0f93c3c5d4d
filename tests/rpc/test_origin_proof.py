"""Nobody but a bridge that proves itself says where a call came from."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from bridge.caller import Origin as Told
from bridge.origin_proof import ORIGIN, OriginProver, proven_by, told
from server.rpc.origin_proof import MAC, VALID_SECONDS, OriginProof, Peer
from server.rpc.principal import Origin
from tests.support.clock import ManualClock

SECRET = b"the secret of bridges and their servers"
METHOD = "/tollbridge.models.v1.ModelService/ListModels"
PEER = Peer("192.0.2.1")
CLIENT = Told("203.0.113.9", "https", "req_client")
BELIEVED = Origin("203.0.113.9", "https", "req_client")
NOT_BELIEVED = Origin("192.0.2.1", "grpc", "req_own")


def origin_of(proof: OriginProof, *pairs: tuple[str, str | bytes], method: str = METHOD, peer: Peer = PEER) -> Origin:
    return proof.origin_of(method, pairs, peer, lambda: "req_own")


def stripped(claim: str) -> float:
    return REGISTRY.get_sample_value("tollbridge_stripped_metadata_total", {"claim": claim}) or 0.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def proof(clock: ManualClock) -> OriginProof:
    return OriginProof(clock, SECRET)


@pytest.fixture
def prove(clock: ManualClock) -> OriginProver:
    return proven_by(SECRET, lambda: int(clock.now().timestamp() * 1000))


def test_a_bridge_with_the_secret_is_believed(proof: OriginProof, prove: OriginProver) -> None:
    assert origin_of(proof, *prove(METHOD, CLIENT)) == BELIEVED


def test_without_a_claim_the_peer_is_the_origin(proof: OriginProof) -> None:
    assert origin_of(proof, ("authorization", "Bearer x")) == NOT_BELIEVED


def test_an_origin_without_a_mac_is_stripped_and_counted(proof: OriginProof) -> None:
    before = stripped("origin_without_proof")
    assert origin_of(proof, *told(METHOD, CLIENT)) == NOT_BELIEVED
    assert origin_of(proof, *told(METHOD, CLIENT), (MAC, b"")) == NOT_BELIEVED
    assert stripped("origin_without_proof") == before + 2


def test_a_mac_of_another_secret_method_or_origin_is_forged(proof: OriginProof, prove: OriginProver) -> None:
    before = stripped("origin_forged")
    elsewhere = proven_by(b"another secret, which is long enough too")
    assert origin_of(proof, *elsewhere(METHOD, CLIENT)) == NOT_BELIEVED
    assert origin_of(proof, *prove("/other.Service/Method", CLIENT)) == NOT_BELIEVED
    claims = dict(prove(METHOD, CLIENT))
    claims[ORIGIN] = dict(told(METHOD, Told("10.0.0.1", "https", "req_client")))[ORIGIN]
    assert origin_of(proof, *claims.items()) == NOT_BELIEVED
    claims = dict(prove(METHOD, CLIENT))
    claims[MAC] = claims[MAC][:-1] + bytes([claims[MAC][-1] ^ 1])
    assert origin_of(proof, *claims.items()) == NOT_BELIEVED
    # The time is part of what is signed.
    claims = dict(prove(METHOD, CLIENT))
    claims[MAC] = (int.from_bytes(claims[MAC][:8], "big") + 1).to_bytes(8, "big") + claims[MAC][8:]
    assert origin_of(proof, *claims.items()) == NOT_BELIEVED
    assert stripped("origin_forged") == before + 5


@pytest.mark.parametrize("seconds", [VALID_SECONDS + 0.1, -VALID_SECONDS - 0.1])
def test_a_proof_is_good_for_a_minute(
    proof: OriginProof, prove: OriginProver, clock: ManualClock, seconds: float
) -> None:
    before = stripped("origin_expired")
    claims = prove(METHOD, CLIENT)
    clock.advance(seconds)
    assert origin_of(proof, *claims) == NOT_BELIEVED
    clock.advance(-seconds / abs(seconds) * 0.2)
    assert origin_of(proof, *claims) == BELIEVED
    assert stripped("origin_expired") == before + 1


def test_a_server_without_a_secret_believes_no_mac(clock: ManualClock, prove: OriginProver) -> None:
    assert origin_of(OriginProof(clock), *prove(METHOD, CLIENT)) == NOT_BELIEVED


def test_a_named_certificate_is_a_proof_and_another_is_not(clock: ManualClock) -> None:
    proof = OriginProof(clock, bridge_names=["bridge.example"])
    assert proof.looks_at_names
    claims = told(METHOD, CLIENT)
    assert origin_of(proof, *claims, peer=Peer("192.0.2.1", {"x", "bridge.example"})) == BELIEVED
    assert origin_of(proof, *claims, peer=Peer("192.0.2.1", {"service.example"})) == NOT_BELIEVED
    assert origin_of(proof, *claims) == NOT_BELIEVED


@pytest.mark.parametrize(
    ("pair", "claim"),
    [
        (("x-forwarded-for", "10.0.0.1"), "forwarded"),
        (("forwarded", "for=10.0.0.1"), "forwarded"),
        (("x-real-ip", "10.0.0.1"), "forwarded"),
        (("tollbridge-org", "org_1"), "reserved"),
        (("tollbridge-origin", "10.0.0.1"), "reserved"),
    ],
)
def test_forwarded_and_reserved_names_are_counted(proof: OriginProof, pair: tuple[str, str], claim: str) -> None:
    before = stripped(claim)
    assert origin_of(proof, pair) == NOT_BELIEVED
    assert stripped(claim) == before + 1


@pytest.mark.parametrize(
    "claimed", [Told("203.0.113.9", "gopher", "req_1"), Told("203.0.113.9", "http", ""), Told("1", "http", "r" * 65)]
)
def test_an_origin_that_cannot_be_is_not_taken(proof: OriginProof, prove: OriginProver, claimed: Told) -> None:
    assert origin_of(proof, *prove(METHOD, claimed)) == NOT_BELIEVED


def test_it_is_logged_once_in_a_while(
    proof: OriginProof, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        origin_of(proof, ("x-real-ip", "10.0.0.1"))
    clock.advance(timedelta(minutes=2).total_seconds())
    origin_of(proof, ("x-real-ip", "10.0.0.1"))
    assert capsys.readouterr().out.count("metadata_stripped") == 2
