"""A limit that an organization gave itself, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from server.foundation.bounds import Bounds


class Kind(StrEnum):
    """What a rule bounds."""

    ORGANIZATION = "organization"
    USER = "user"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Rule:
    """Limits of one subject."""

    kind: Kind
    subject: str
    """A person's id as a UUID, a model's id, empty for the organization."""
    limits: Bounds
