"""How our processes log: one JSON object a line on standard error, or coloured text on a terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Self
from uuid import UUID

import orjson
import structlog
from google.protobuf.message import Message
from structlog.typing import Processor

from server.rpc.redaction import redacted

_LINE: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
_LEVELS: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
}


def configure(level: str) -> None:
    """Sets up structlog and routes the standard library's loggers (asyncio, grpc) to the same stream."""
    number = logging.getLevelNamesMapping()[level.upper()]
    for_people = sys.stderr.isatty()
    loggers: Any = structlog.make_filtering_bound_logger(number) if for_people else partial(_Lines, number)
    structlog.configure(
        processors=_for_people() if for_people else [],
        wrapper_class=loggers,
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[_Forward()], force=True)


class _Lines:
    """What `get_logger` answers: each call of it writes one JSON object and a line feed to standard error.

    It stands in structlog's place, whose chain of a proxy, a bound logger and processors took three times as long, and
    every call of the server writes a line. Unbuffered: what was said before a crash is there after it.
    """

    def __init__(self, least: int, *_arguments: object, **_more: object) -> None:
        """`least`: the lowest level that is written."""
        self._least = least
        self._file = sys.stderr.fileno()

    def bind(self) -> Self:
        """Itself: nothing is bound here."""
        return self

    def debug(self, event: str, **fields: Any) -> None:
        self.log(logging.DEBUG, event, **fields)

    def info(self, event: str, **fields: Any) -> None:
        self.log(logging.INFO, event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        self.log(logging.WARNING, event, **fields)

    def error(self, event: str, **fields: Any) -> None:
        self.log(logging.ERROR, event, **fields)

    def log(self, level: int, event: str, **fields: Any) -> None:
        if level < self._least:
            return
        fields["event"] = event
        fields["level"] = _LEVELS.get(level) or logging.getLevelName(level).lower()
        fields["timestamp"] = datetime.now(UTC)
        os.write(self._file, orjson.dumps(fields, default=_shown, option=_LINE))


class _Forward(logging.Handler):
    """Hands a library's record to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        fields: dict[str, object] = {}
        if record.exc_info and record.exc_info[0] is not None:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        log.log(record.levelno, record.getMessage(), **fields)


def _for_people() -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _readable,
        structlog.dev.ConsoleRenderer(),
    ]


def _shown(value: object) -> object:
    if isinstance(value, UUID):
        # The database driver has a class of its own.
        return str(value)
    return redacted(value) if isinstance(value, Message) else repr(value)


def _readable(_log: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Messages without their secrets, ids as text."""
    for name, value in event.items():
        if isinstance(value, Message):
            event[name] = redacted(value)
        elif isinstance(value, UUID):
            event[name] = str(value)
    return event
