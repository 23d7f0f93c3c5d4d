"""What a file says: a system, its routes, and what is not served yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.aliases.request_rules import RequestRules
from bridge.aliases.source import AliasError
from bridge.aliases.template import Template
from bridge.catalog import Binding, Method

GIVEN = "*"
"""In a match: the parameter stands there, whatever its value."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The form around every answer of a system."""

    success: Template
    """From `SUCCESS_NAMES`."""
    failure: Template
    """From `FAILURE_NAMES`."""


SUCCESS_NAMES = frozenset({"answer", "message", "time"})
"""What a success has: the answer, the route's sentence, the time."""
FAILURE_NAMES = frozenset({"code", "message", "details", "param", "request_id", "time"})
"""What a failure has: `error.code`, `error.message` and so on, and the time."""


@dataclass(frozen=True, slots=True)
class CredentialForm:
    """Two headers that together are a key: its id and its secret."""

    row: str
    id_header: str
    secret_header: str


@dataclass(frozen=True, slots=True)
class ChatDecoration:
    """What a chat's answer carries beyond OpenAI's."""

    id_prefix: str = ""
    """What ids of answers begin with, instead of the provider's `chatcmpl-`."""
    every: tuple[tuple[str, object], ...] = ()
    """Constant members of a whole answer and of every chunk."""
    last: tuple[tuple[str, Template], ...] = ()
    """Members of a whole answer and of the last chunk, from the call's `Outcome`."""


@dataclass(frozen=True, slots=True)
class AliasRoute:
    """One documented call, and the RPC behind it."""

    row: str
    """Its id in the inventory of calls, for instance "LX5"."""
    http_verb: str
    path: str
    both_slashes: bool
    """Whether the path is served with a slash at its end as well as without."""
    match: tuple[tuple[str, str], ...]
    """Query parameters that choose this route among those of its path."""
    summary: str
    method: Method = field(compare=False)
    rpc: str
    binding: Binding = field(compare=False)
    rules: RequestRules
    answer: Template | None
    """None: the RPC's answer as it is."""
    status: int
    message: str
    """The sentence of a success, for the envelope."""
    enveloped: bool
    chat: ChatDecoration | None
    shared: bool
    """Whether another loaded system may have the very same route."""
    origin: str = field(compare=False)
    """File and line."""

    @property
    def call(self) -> str:
        """As it is documented."""
        query = "&".join(f"{name}={value}" for name, value in self.match)
        return f"{self.http_verb} {self.path}" + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True)
class Listed:
    """A documented call or feature that no alias serves: the canonical API does, or nothing does yet."""

    row: str
    call: str
    why: str
    rpc: str = ""
    """The RPC whose canonical route serves it; empty where nothing does."""


@dataclass(frozen=True, slots=True)
class System:
    """One file."""

    name: str
    title: str
    about: str
    routes: tuple[AliasRoute, ...]
    canonical: tuple[Listed, ...]
    unserved: tuple[Listed, ...]
    envelope: Envelope | None = None
    credential: CredentialForm | None = None


def conflict(first: AliasRoute, second: AliasRoute) -> AliasError:
    """Two routes that claim one call."""
    return AliasError(f"{second.origin}: {second.call} is claimed by {first.origin} too.")
