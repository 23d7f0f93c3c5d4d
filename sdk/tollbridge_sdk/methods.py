"""What the client has to know of a method beyond its types. The values are generated from the protos' options."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Idempotency(Enum):
    """What a repeated call does."""

    SAFE = "safe"
    """Nothing: the method only reads."""
    KEYED = "keyed"
    """It carries an idempotency key, by which a server can know it again."""
    NONE = "none"
    """Once more what the first did. Never repeated by the SDK."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC."""

    service: str
    """Full name, for instance "tollbridge.keys.v1.KeyService"."""
    name: str
    """For instance "CreateKey"."""
    idempotency: Idempotency
    anonymous: bool = False
    """True where no credential is asked for; none is sent then."""
    runs_model: bool = False
    """True where a model answers, which takes longer than anything else."""
    streams: bool = False
    """True where the answer comes in pieces."""

    @property
    def keyed_by_itself(self) -> bool:
        """Whether each call carries a key that its caller did not choose. Streams do not: with a key the server goes on
        to the end, and charges for it, although its reader has left."""
        return self.idempotency is Idempotency.KEYED and not self.streams

    @property
    def path(self) -> str:
        """As gRPC names it: "/tollbridge.keys.v1.KeyService/CreateKey"."""
        return f"/{self.service}/{self.name}"
