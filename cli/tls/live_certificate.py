"""The certificate of a running process: followed on disk, so that a renewed one needs no restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from cli.tls.certificate import Certificate, CertificateFiles, TlsError, read_certificate

LOOK_SECONDS: Final = 2.0
"""Time between two looks at the files."""

_Marks = tuple[tuple[int, int, int] | None, ...]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class LiveCertificate:
    """The newest good certificate. A broken replacement is logged, and the one before stays in use."""

    def __init__(self, files: CertificateFiles, now: Callable[[], datetime] = _utc_now) -> None:
        """Reads the files. Raises `TlsError`."""
        self._files = files
        self._now = now
        self._marks = self._look()
        self._current = read_certificate(files, now())
        self._log = structlog.get_logger("tls")

    @property
    def current(self) -> Certificate:
        """What new connections get; another object after each change."""
        return self._current

    def refresh(self) -> bool:
        """Reads the files where they changed since the last look; whether there is a new certificate."""
        marks = self._look()
        if marks == self._marks:
            return False
        self._marks = marks
        try:
            found = read_certificate(self._files, self._now())
        except TlsError as error:
            self._log.error("certificate_not_reloaded", error=str(error), in_use_until=str(self._current.not_after))
            return False
        if found == self._current:
            return False
        self._current = found
        self._log.info("certificate_reloaded", file=str(self._files.certificate), not_after=str(found.not_after))
        return True

    def _look(self) -> _Marks:
        return tuple(_mark(path) for path in (self._files.certificate, self._files.key))


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_pair(certificate: Path | None, key: Path | None, option: str = "--tls") -> LiveCertificate | None:
    """The certificate of `--tls-cert` and `--tls-key`, None where neither is given. Raises `TlsError`."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise TlsError(f"{option}-cert and {option}-key belong together: one of them is missing.")
    return LiveCertificate(CertificateFiles(certificate, key, option))


@asynccontextmanager
async def followed(live: LiveCertificate | None, changed: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Looks at the files every two seconds for the length of the block, and calls `changed` after each new one."""
    if live is None:
        yield
        return
    task = asyncio.create_task(_follow(live, changed), name="certificate")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _follow(live: LiveCertificate, changed: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if live.refresh():
            changed()
