"""Sealed bytes open only in their place; no two uses share a key."""

from __future__ import annotations

import pytest

from server.foundation.secrets import RootSecret, SealBrokenError

ROOT = RootSecret(b"a root secret of a test, long enough")


def test_sealed_bytes_open_in_their_row_only() -> None:
    sealer = ROOT.sealer("provider")
    sealed = sealer.seal(b"sk-1", "provider:a")
    assert sealer.open(sealed, "provider:a") == b"sk-1"
    with pytest.raises(SealBrokenError):
        sealer.open(sealed, "provider:b")
    with pytest.raises(SealBrokenError):
        ROOT.sealer("signing").open(sealed, "provider:a")
    with pytest.raises(SealBrokenError):
        sealer.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "provider:a")
    with pytest.raises(SealBrokenError):
        sealer.open(b"", "provider:a")


def test_every_label_derives_another_key() -> None:
    assert len({ROOT.derive(label) for label in ("a", "b", "pepper/a", "seal/a")}) == 4
    assert RootSecret(b"another").derive("a") != ROOT.derive("a")


def test_a_digest_matches_its_secret_only() -> None:
    pepper = ROOT.pepper("keys")
    assert pepper.matches(b"secret", pepper.digest(b"secret"))
    assert not pepper.matches(b"secret2", pepper.digest(b"secret"))
