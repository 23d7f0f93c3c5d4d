"""Which server takes our mail, from one URL."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


class SmtpUrlError(ValueError):
    """The URL names no SMTP server; the text is the end of a sentence that begins with the setting's name."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in."""

    host: str
    port: int
    tls: bool
    """TLS from the first byte (`smtps`); else STARTTLS where the server offers it."""
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> SmtpServer:
        """The server of `smtp://user:password@host:587` or `smtps://…:465`. Raises `SmtpUrlError`, without the URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise SmtpUrlError("is no URL such as smtp://user:password@host:587") from error
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/"):
            raise SmtpUrlError("must be smtp://user:password@host:587, or smtps:// for TLS from the first byte")
        tls = parts.scheme == "smtps"
        default = 465 if tls else 587
        return cls(parts.hostname, port or default, tls, unquote(parts.username or ""), unquote(parts.password or ""))
