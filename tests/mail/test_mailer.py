"""Mail goes out beside calls, is tried again, and never leaves a word too many behind."""

from __future__ import annotations

import asyncio

import pytest
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, Envelope, Session
from structlog.testing import capture_logs

from server.mail.mailer import Mail, Mailer
from server.mail.smtp_server import SmtpServer, SmtpUrlError
from tests.support.smtp import receiving

LETTER = Mail("anna@example.com", "Hello", "A body with a secret token.\n")


class Flaky(Sink):
    """Refuses some mails for now, then takes them."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.taken: list[bytes] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refusals:
            self.refusals -= 1
            return "451 try again"
        assert isinstance(envelope.content, bytes)
        self.taken.append(envelope.content)
        return "250 OK"


async def send(handler: Flaky, mail: Mail = LETTER) -> list[float]:
    """Posts one mail to a real server; answers the waits between tries."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async with receiving(handler) as url:
        mailer = Mailer(SmtpServer.of(url), "tollbridge@example.com", sleep)
        mailer.post(mail)
        await mailer.drain(10)
    return waits


async def test_a_mail_arrives_as_written() -> None:
    handler = Flaky(0)
    assert await send(handler) == []
    (taken,) = handler.taken
    for line in (b"From: tollbridge@example.com", b"To: anna@example.com", b"Subject: Hello", b"A body with a secret"):
        assert line in taken


async def test_a_server_that_refuses_for_now_is_asked_again() -> None:
    handler = Flaky(2)
    assert await send(handler) == [1.0, 5.0]
    assert len(handler.taken) == 1


async def test_what_cannot_be_sent_is_logged_without_its_content() -> None:
    handler = Flaky(99)
    with capture_logs() as lines:
        await send(handler)
    (line,) = [line for line in lines if line["event"] == "mail_lost"]
    assert handler.taken == []
    assert "secret" not in str(line)
    assert "anna" not in str(line)


async def test_an_address_with_a_line_break_writes_no_header() -> None:
    handler = Flaky(0)
    with capture_logs() as lines:
        assert await send(handler, Mail("a@example.com\r\nBcc: b@example.com", "Hello", "x")) == []
    assert handler.taken == []
    assert [line["event"] for line in lines] == ["mail_lost"]


async def test_a_dead_server_holds_up_nothing_and_no_more_than_a_few() -> None:
    waiting = asyncio.Event()

    async def sleep(_: float) -> None:
        await waiting.wait()

    mailer = Mailer(SmtpServer.of("smtp://127.0.0.1:1"), "tollbridge@example.com", sleep)
    with capture_logs() as lines:
        for _ in range(250):
            mailer.post(LETTER)
        await mailer.drain(0.05)
    assert sum(line["event"] == "mail_lost" for line in lines) == 250


async def test_without_a_server_nothing_is_sent_and_that_is_said() -> None:
    mailer = Mailer(None, "tollbridge@example.com")
    assert not mailer.sends
    with capture_logs() as lines:
        mailer.post(LETTER)
    await mailer.drain(0)
    assert [line["event"] for line in lines] == ["mail_not_sent"]


def test_a_url_names_the_server() -> None:
    assert SmtpServer.of("smtp://host") == SmtpServer("host", 587, tls=False)
    assert SmtpServer.of("smtps://host") == SmtpServer("host", 465, tls=True)
    found = SmtpServer.of("smtp://us%40er:pass%2Fword@mail.example.com:25")
    assert (found.user, found.password, found.port) == ("us@er", "pass/word", 25)
    assert "pass" not in repr(found)


@pytest.mark.parametrize("wrong", ["", "host:25", "http://host", "smtp://", "smtp://host:x", "smtp://host/path"])
def test_what_is_no_server_is_refused_without_repeating_it(wrong: str) -> None:
    with pytest.raises(SmtpUrlError) as refused:
        SmtpServer.of(wrong)
    assert "pass" not in str(refused.value).replace("user:password", "")
