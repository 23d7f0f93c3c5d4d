"""What the double is told to do with one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Opening(Enum):
    """What happens before any byte of an answer."""

    ANSWER = auto()
    SILENT = auto()
    """The request is taken and nothing ever comes."""
    RESET = auto()
    """The connection is reset before headers."""


class Ending(Enum):
    """What happens once the tokens are out. Unary answers know WHOLE, RESET and TRUNCATED only."""

    WHOLE = auto()
    """finish_reason, usage where asked for, [DONE]."""
    NO_DONE = auto()
    """finish_reason and usage, then the stream ends without [DONE]."""
    CUT = auto()
    """The stream ends cleanly after the last token: no finish_reason, no usage, no [DONE]."""
    RESET = auto()
    """The connection is reset in the middle of the answer."""
    TRUNCATED = auto()
    """The last JSON text breaks off in the middle and the answer ends."""
    STALL = auto()
    """The connection stays open and nothing more ever comes."""


class Usage(Enum):
    """What the double says a call used."""

    HONEST = auto()
    MISSING = auto()
    """No usage at all, asked for or not."""
    ZERO = auto()
    """Every count is 0."""
    TENFOLD = auto()
    """Ten times what was used."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer with an error status. `body` is sent as it is, as JSON."""

    status: int
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, message: str, kind: str, code: str | None = None, param: str | None = None) -> Refusal:
        """OpenAI's error body."""
        return cls(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})

    @classmethod
    def rate_limited(cls, retry_after: float) -> Refusal:
        """429 with Retry-After in seconds."""
        body = cls.of(429, "Rate limit reached for requests", "requests", "rate_limit_exceeded").body
        return cls(429, body, {"retry-after": f"{retry_after:g}"})

    @classmethod
    def unauthorized(cls) -> Refusal:
        """401: the provider does not know the platform's key."""
        return cls.of(401, "Incorrect API key provided: sk-double", "invalid_request_error", "invalid_api_key")

    @classmethod
    def bad_request(cls, param: str) -> Refusal:
        """400 that names a parameter."""
        message = f"Invalid value for '{param}'"
        return cls.of(400, message, "invalid_request_error", "invalid_value", param)

    @classmethod
    def broken(cls) -> Refusal:
        """500."""
        return cls.of(500, "The server had an error while processing your request", "server_error")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool: streamed, its arguments come in as many fragments as there are pieces."""

    name: str
    pieces: tuple[str, ...]
    id: str = "call_double"


@dataclass(frozen=True, slots=True)
class Script:
    """One answer.

    `tokens` numbered tokens come `interval` seconds apart (a unary answer comes whole, after `delay`). Like a real
    provider the double stops at max_tokens or max_completion_tokens with finish_reason `length`, unless
    `ignores_maximum`. `reasoning_tokens` are added to the output counted, `cached_tokens` are part of the prompt's.
    """

    tokens: int = 8
    interval: float = 0.0
    delay: float = 0.0
    prompt_tokens: int = 10
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    opening: Opening = Opening.ANSWER
    ending: Ending = Ending.WHOLE
    usage: Usage = Usage.HONEST
    ignores_maximum: bool = False
    refusal: Refusal | None = None
    tool_calls: tuple[ToolCall, ...] = ()
