"""No token but one that we signed, in force and whole, opens anything (guarantee D4)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.foundation import ids
from server.rpc.errors import CredentialInvalidError
from tests.support.clock import ManualClock
from tests.support.identity import Identity

Json = dict[str, Any]
Attack = Callable[["Forge"], str]
FOREIGN = Ed25519PrivateKey.generate()


class Forge:
    """A genuine token taken apart, and our own key to sign anything with."""

    def __init__(self, identity: Identity, token: str) -> None:
        self.token = token
        self.header: Json = jwt.get_unverified_header(token)
        self.claims: Json = jwt.decode(token, options={"verify_signature": False})
        self.key = identity.signing_keys.current().private_key

    def genuine(self, header: Json | None = None, **claims: Any) -> str:
        """Signed by our key, with changes; None leaves a claim or header out."""
        return self.signed(self.key, header, **claims)

    def signed(self, key: Any, header: Json | None = None, **claims: Any) -> str:
        head = changed({**self.header, **(header or {})})
        text = ".".join(encoded(part) for part in (head, changed({**self.claims, **claims})))
        return f"{text}.{b64(key.sign(text.encode()))}"

    def raw(self, header: Json, signature: bytes = b"") -> str:
        return f"{encoded(header)}.{encoded(self.claims)}.{b64(signature)}"

    def hmac_signed(self, secret: bytes) -> str:
        text = f"{encoded({**self.header, 'alg': 'HS256'})}.{encoded(self.claims)}"
        return f"{text}.{b64(hmac.digest(secret, text.encode(), hashlib.sha256))}"

    def public(self, encoding: serialization.Encoding, form: serialization.PublicFormat) -> bytes:
        return self.key.public_key().public_bytes(encoding, form)


def changed(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def encoded(part: Json) -> str:
    return b64(json.dumps(part).encode())


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def foreign_jwk() -> Json:
    public = FOREIGN.public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(public)}


PEM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
SOMEBODY = UUID(int=7)

ATTACKS: dict[str, Attack] = {
    "none": lambda forge: forge.raw({**forge.header, "alg": "none"}),
    "None": lambda forge: forge.raw({**forge.header, "alg": "None"}),
    "no algorithm": lambda forge: forge.raw({"typ": "at+jwt", "kid": forge.header["kid"]}),
    "signature cut off": lambda forge: forge.token.rsplit(".", 1)[0] + ".",
    "HS256 over the public key as PEM": lambda forge: forge.hmac_signed(forge.public(*PEM)),
    "HS256 over the raw public key": lambda forge: forge.hmac_signed(forge.public(*RAW)),
    "HS256 over nothing": lambda forge: forge.hmac_signed(b""),
    "RS256 named": lambda forge: forge.genuine({"alg": "RS256"}),
    "Ed25519 named": lambda forge: forge.genuine({"alg": "Ed25519"}),
    "foreign key": lambda forge: forge.signed(FOREIGN),
    "foreign key as jwk": lambda forge: forge.signed(FOREIGN, {"jwk": foreign_jwk()}),
    "jku": lambda forge: forge.signed(FOREIGN, {"jku": "https://attacker.example/keys.json"}),
    "jku on a genuine token": lambda forge: forge.genuine({"jku": "https://attacker.example/keys.json"}),
    "x5u": lambda forge: forge.signed(FOREIGN, {"x5u": "https://attacker.example/chain.pem"}),
    "x5c": lambda forge: forge.signed(FOREIGN, {"x5c": ["MIIB"]}),
    "crit": lambda forge: forge.genuine({"crit": ["b64"], "b64": False}),
    "kid is a path": lambda forge: forge.signed(FOREIGN, {"kid": "../../../../dev/null"}),
    "kid is SQL": lambda forge: forge.signed(FOREIGN, {"kid": "x' UNION SELECT 'key' --"}),
    "kid is a URL": lambda forge: forge.signed(FOREIGN, {"kid": "https://attacker.example/key"}),
    "kid is a list": lambda forge: forge.signed(FOREIGN, {"kid": ["a"]}),
    "no kid": lambda forge: forge.genuine({"kid": None}),
    "another type": lambda forge: forge.genuine({"typ": "JWT"}),
    "an id token": lambda forge: forge.genuine({"typ": "id+jwt"}),
    "another issuer": lambda forge: forge.genuine(iss="https://attacker.example"),
    "another audience": lambda forge: forge.genuine(aud="somebody else"),
    "list of audiences without us": lambda forge: forge.genuine(aud=["somebody", "else"]),
    "not valid yet": lambda forge: forge.genuine(nbf=forge.claims["nbf"] + 60),
    "issued in the future": lambda forge: forge.genuine(iat=forge.claims["iat"] + 60),
    "expired": lambda forge: forge.genuine(exp=forge.claims["iat"]),
    "expiry as text": lambda forge: forge.genuine(exp="9999999999"),
    "expiry as a fraction": lambda forge: forge.genuine(exp=forge.claims["exp"] + 0.5),
    "expiry is true": lambda forge: forge.genuine(exp=True),
    "endless expiry": lambda forge: forge.genuine(exp=2**63),
    "infinite expiry": lambda forge: forge.genuine(exp=float("inf")),
    "another person": lambda forge: forge.genuine(sub=ids.to_text(ids.USER, SOMEBODY)),
    "another organization": lambda forge: forge.genuine(org=ids.to_text(ids.ORGANIZATION, SOMEBODY)),
    "another session": lambda forge: forge.genuine(sid=ids.to_text(ids.SESSION, SOMEBODY)),
    "a number as person": lambda forge: forge.genuine(sub=7),
    "a session id of another kind": lambda forge: forge.genuine(sid=forge.claims["sub"]),
    "flipped signature": lambda forge: forge.token[:-8] + ("A" if forge.token[-8] != "A" else "B") + forge.token[-7:],
    "more claims, old signature": lambda forge: ".".join(
        [forge.token.split(".")[0], encoded({**forge.claims, "role": "OWNER"}), forge.token.split(".")[2]]
    ),
    "deep nesting": lambda forge: f"{b64(b'[' * 900)}.{b64(b'[' * 900)}.x",
    "megabyte": lambda forge: forge.genuine(more="x" * 1_000_000),
    "not base64": lambda _: "é.é.é".encode("ascii", "replace").decode(),
    "dots": lambda _: "..",
    "SQL": lambda _: "' OR 1=1 --",
    "SQL with dots": lambda _: "a.b.' OR 1=1 --",
    **{
        f"without {claim}": lambda forge, claim=claim: forge.genuine(**{claim: None})  # type: ignore[misc]
        for claim in ("iss", "aud", "sub", "sid", "org", "iat", "nbf", "exp", "jti")
    },
}


@pytest.fixture
async def forge(identity: Identity) -> Forge:
    """A token of somebody who is signed in."""
    tokens = await identity.register()
    return Forge(identity, tokens.access_token)


async def test_none_of_the_attacks_gets_in(identity: Identity, forge: Forge) -> None:
    accepted, texts = [], set()
    for number, (name, attack) in enumerate(ATTACKS.items()):
        try:
            await identity.principal(attack(forge), ip=f"198.51.100.{number}")
            accepted.append(name)
        except CredentialInvalidError as error:
            texts.add(error.public)
    assert accepted == []
    assert len(texts) == 1, "what was wrong is not told"
    assert (await identity.principal(forge.genuine())).session_id is not None, "the forge's own tokens are right"


async def test_our_tokens_say_what_they_must(forge: Forge) -> None:
    assert set(forge.header) == {"alg", "typ", "kid"}
    assert (forge.header["alg"], forge.header["typ"]) == ("EdDSA", "at+jwt")
    assert set(forge.claims) == {"iss", "aud", "sub", "sid", "org", "iat", "nbf", "exp", "jti"}
    assert forge.claims["exp"] - forge.claims["iat"] == 3600


async def test_an_unknown_key_id_reads_the_table_at_most_every_three_seconds(
    identity: Identity, forge: Forge, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = 0
    load = identity.signing_keys.load

    async def counted() -> None:
        nonlocal loads
        loads += 1
        await load()

    monkeypatch.setattr(identity.signing_keys, "load", counted)
    clock.advance(10)
    for number in range(5):
        with pytest.raises(CredentialInvalidError):
            await identity.principal(forge.signed(FOREIGN, {"kid": f"unknown{number}"}))
    assert loads == 1
    clock.advance(3.1)
    with pytest.raises(CredentialInvalidError):
        await identity.principal(forge.signed(FOREIGN, {"kid": "unknown"}))
    assert loads == 2
