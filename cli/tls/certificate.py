"""A certificate with its key, read from files whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


class TlsError(Exception):
    """A file cannot be used; the text names the option, the file and why."""


@dataclass(frozen=True)
class CertificateFiles:
    """Where a certificate chain and its private key lie, PEM both."""

    certificate: Path
    key: Path
    option: str = "--tls"
    """What the options are called: `--tls` for `--tls-cert` and `--tls-key`."""


@dataclass(frozen=True)
class Certificate:
    """A certificate chain and the key that fits it."""

    chain: bytes
    """PEM, our own certificate first."""
    key: bytes
    """PEM, not encrypted."""
    not_after: datetime
    """When our own certificate expires, UTC."""

    @property
    def digest(self) -> str:
        """Tells one certificate and key from another."""
        return hashlib.sha256(self.chain + self.key).hexdigest()

    def __repr__(self) -> str:
        """Without the key."""
        return f"Certificate(not_after={self.not_after})"


def read_certificate(files: CertificateFiles, now: datetime) -> Certificate:
    """The files' certificate and key.

    Raises TlsError for a file that is missing, unreadable, no PEM, expired or not yet valid, encrypted, or for a key of
    another certificate.
    """
    certificate_name, key_name = f"{files.option}-cert {files.certificate}", f"{files.option}-key {files.key}"
    chain, key = _read(files.certificate, certificate_name), _read(files.key, key_name)
    own = _certificates(chain, certificate_name)[0]
    if own.not_valid_after_utc <= now:
        raise TlsError(f"{certificate_name}: the certificate expired at {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC.")
    if own.not_valid_before_utc > now:
        raise TlsError(
            f"{certificate_name}: the certificate is not valid before {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC."
        )
    if _public(_private_key(key, key_name)) != own.public_key().public_bytes(Encoding.DER, _PUBLIC):
        raise TlsError(f"{key_name}: the key does not belong to the certificate in {files.certificate}.")
    return Certificate(chain, key, own.not_valid_after_utc)


def read_authorities(path: Path, option: str) -> bytes:
    """PEM of the authorities in `path`, at least one. Raises TlsError."""
    name = f"{option} {path}"
    content = _read(path, name)
    _certificates(content, name)
    return content


_PUBLIC = PublicFormat.SubjectPublicKeyInfo


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"{name} cannot be read ({error.strerror}).") from error


def _certificates(content: bytes, name: str) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise TlsError(f"{name} holds no certificate in PEM form.") from error


def _private_key(content: bytes, name: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(content, None)
    except TypeError as error:
        raise TlsError(f"{name} is encrypted: give a key without a passphrase.") from error
    except ValueError as error:
        raise TlsError(f"{name} holds no private key in PEM form.") from error


def _public(key: PrivateKeyTypes) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, _PUBLIC)
