"""What a handler knows of the call that it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from server.rpc.errors import InternalError
from server.rpc.principal import Origin, Principal

MetadataPair = tuple[str, str | bytes]


@dataclass(slots=True)
class CallContext:
    """One call, from its authentication to its end. Handlers read it, and add metadata to the answer."""

    method: str
    """`/package.Service/Method`."""
    origin: Origin
    metadata: dict[str, str | bytes]
    """The caller's metadata, without reserved names."""
    caller: Principal | None = None
    """None on public methods."""
    deadline: float | None = None
    """Monotonic seconds at which the caller stops waiting; None: never."""
    cut: bool = False
    """Whether the server itself ends the call, because it shuts down."""
    run_id: UUID | None = None
    """Names this run of a call that is remembered; its usage event has this id."""
    charged: int | None = 0
    """What a metered call was charged, in nano-dollars; None where it was admitted and nobody knows yet."""
    initial_metadata: list[MetadataPair] = field(default_factory=list)
    """Sent before the first message; over REST the allowed names become headers."""
    trailing_metadata: list[MetadataPair] = field(default_factory=list)
    """Sent after the last message."""

    @property
    def principal(self) -> Principal:
        """The caller of a method that is not public."""
        if self.caller is None:
            raise InternalError(f"{self.method} is public and has no principal")
        return self.caller

    @property
    def request_id(self) -> str:
        """`req_…`, in every log line and every answer."""
        return self.origin.request_id
