"""Sends mail in tasks of its own: no call and no transaction waits for an SMTP server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final

import aiosmtplib
import structlog

from server.mail.smtp_server import SmtpServer

_MOST_WAITING: Final = 200
"""Mails under way; more are dropped, so that a dead server costs no memory."""
_SECONDS: Final = 10.0
"""Longest wait for one step of the server."""
_WAITS: Final = (1.0, 5.0)
"""Seconds before the second and the third try."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One letter."""

    to: str
    subject: str
    text: str


class Mailer:
    """Sends what is posted, after the transaction that it tells of was committed. A mail that cannot be sent is lost,
    and logged without its address."""

    def __init__(
        self,
        server: SmtpServer | None,
        sender: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Without a server nothing is sent. `sender` is the From address."""
        self._server = server
        self._sender = sender
        self._sleep = sleep
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("mail")

    @property
    def sends(self) -> bool:
        """Whether there is a server."""
        return self._server is not None

    def post(self, mail: Mail) -> None:
        """Sends the mail soon. Never waits and never raises."""
        if self._server is None:
            self._log.info("mail_not_sent", subject=mail.subject, why="SMTP_URL is not set")
            return
        if len(self._tasks) >= _MOST_WAITING:
            self._log.warning("mail_lost", subject=mail.subject, error="too many mails wait for the server")
            return
        task = asyncio.create_task(self._send(self._server, mail))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> None:
        """Waits for mails under way; what is not sent then is lost."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
            self._log.warning("mail_lost", error="the server stopped first")

    async def _send(self, server: SmtpServer, mail: Mail) -> None:
        for wait in (*_WAITS, None):
            try:
                await self._try(server, mail)
            except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                if wait is None or isinstance(error, ValueError):
                    self._log.warning("mail_lost", subject=mail.subject, error=type(error).__name__)
                    return
                await self._sleep(wait)
            else:
                return

    async def _try(self, server: SmtpServer, mail: Mail) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, mail.to, mail.subject
        message.set_content(mail.text)
        await aiosmtplib.send(
            message,
            hostname=server.host,
            port=server.port,
            use_tls=server.tls,
            username=server.user or None,
            password=server.password or None,
            timeout=_SECONDS,
        )
