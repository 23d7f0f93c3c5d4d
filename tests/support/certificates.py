"""Certificates of an authority that only tests know, as files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate chain and its key, PEM both."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; `file` holds its own."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        """Writes `<name>.pem` in `folder`."""
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = _builder(self._name, self._name, self._key, timedelta(days=2), timedelta(days=30))
        self.file = folder / f"{name}.pem"
        signed = made.add_extension(x509.BasicConstraints(True, None), True).sign(self._key, hashes.SHA256())
        self.file.write_bytes(signed.public_bytes(Encoding.PEM))

    def issue(
        self,
        name: str,
        hosts: Sequence[str] = ("localhost",),
        age: timedelta = timedelta(days=1),
        life: timedelta = timedelta(days=2),
    ) -> Pair:
        """Writes `<name>.crt` and `<name>.key` by rename, over what was there. It began `age` ago, ends in `life`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = _builder(subject, self._name, key, age, life).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), False
        )
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        _replace(pair.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        _replace(pair.certificate, made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return pair


def serial_of(pem: bytes) -> int:
    """Tells one certificate from another."""
    return x509.load_pem_x509_certificate(pem).serial_number


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, age: timedelta, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - age)
        .not_valid_after(now + life)
    )


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_suffix(".new")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
