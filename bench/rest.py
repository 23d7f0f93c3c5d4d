"""A small REST client: one kept-alive connection, JSON both ways."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, Self


class Refused(Exception):
    """The server answered with another status than 2xx; the text has it and the start of the body."""


class Rest:
    """Calls one server on the loopback interface."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def call(self, method: str, path: str, credential: str, body: object = None) -> Any:
        """The answer's JSON. An empty credential sends none. Raises Refused, OSError."""
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {credential}"} if credential else {}
        )
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if not 200 <= answer.status < 300:
            raise Refused(f"{method} {path}: {answer.status} {content[:300].decode(errors='replace')}")
        return json.loads(content)
