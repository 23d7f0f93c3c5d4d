"""How our processes log: one JSON object a line on standard error, or coloured text on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog
from google.protobuf.message import Message

from server.rpc.redaction import redacted


def configure(level: str) -> None:
    """Sets up structlog and routes the standard library's loggers (aiohttp, asyncio, grpc) to the same stream."""
    number = logging.getLevelNamesMapping()[level.upper()]
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_secrets,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(serializer=_dump),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr) if terminal else _raw_lines(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[_Forward()], force=True)


class _Forward(logging.Handler):
    """Hands a library's record to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        fields: dict[str, object] = {}
        if record.exc_info and record.exc_info[0] is not None:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        log.log(record.levelno, record.getMessage(), **fields)


def _raw_lines() -> structlog.BytesLoggerFactory:
    return structlog.BytesLoggerFactory(sys.stderr.buffer)


def _dump(event: MutableMapping[str, Any], **_options: object) -> bytes:
    return orjson.dumps(event, default=repr)


def _without_secrets(_log: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, Message):
            event[name] = redacted(value)
    return event
