"""How our processes log: one JSON object a line on standard error, or coloured text on a terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from google.protobuf.message import Message
from structlog.typing import Processor

from server.rpc.redaction import redacted


def configure(level: str) -> None:
    """Sets up structlog and routes the standard library's loggers (aiohttp, asyncio, grpc) to the same stream."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=_for_people() if sys.stderr.isatty() else [_to_line],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # Unbuffered: a line is one write, and what was said before a crash is there after it.
        logger_factory=structlog.PrintLoggerFactory(sys.stderr) if sys.stderr.isatty() else _Lines,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[_Forward()], force=True)


class _Lines:
    """A logger that writes bytes to standard error, a line at a time."""

    def __init__(self, *_arguments: object) -> None:
        self._file = sys.stderr.fileno()

    def msg(self, line: bytes) -> None:
        """Writes one line."""
        os.write(self._file, line)

    debug = info = warning = warn = error = critical = exception = msg


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
        _without_secrets,
        structlog.dev.ConsoleRenderer(),
    ]


def _to_line(_log: object, level: str, event: MutableMapping[str, Any]) -> bytes:
    """One JSON object and a line feed. One function instead of a chain: every call writes a line."""
    event["level"] = level
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="microseconds")
    return orjson.dumps(event, default=_shown, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def _shown(value: object) -> object:
    return redacted(value) if isinstance(value, Message) else repr(value)


def _without_secrets(_log: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, Message):
            event[name] = redacted(value)
    return event
