"""Ids of transfers: UUIDv5 of the organization and the caller's key, so that one key moves money once.

The key itself is not stored. Keys of calls begin with what the transfer is for; keys that people choose are set apart
by `adjustment/`, so that nobody can name a transfer of a call.
"""

from __future__ import annotations

import hashlib
from uuid import UUID


def transfer_id(org_id: UUID, key: str) -> UUID:
    """UUIDv5 (RFC 9562, section 5.5) with the organization as the namespace."""
    digest = hashlib.sha1(org_id.bytes + key.encode(), usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)


def hold_id(org_id: UUID, call_id: UUID) -> UUID:
    """The hold of a call."""
    return transfer_id(org_id, f"hold/{call_id.hex}")


def close_id(org_id: UUID, call_id: UUID) -> UUID:
    """What closes the hold of a call."""
    return transfer_id(org_id, f"close/{call_id.hex}")


def spill_id(org_id: UUID, call_id: UUID) -> UUID:
    """What a call takes from an account that pays earlier than its hold's."""
    return transfer_id(org_id, f"spill/{call_id.hex}")


def reversal_id(org_id: UUID, call_id: UUID, number: int) -> UUID:
    """What gives a call's charge back, the first or second part of it."""
    return transfer_id(org_id, f"reversal/{number}/{call_id.hex}")


def excess_id(org_id: UUID, call_id: UUID) -> UUID:
    """What a call cost beyond its hold."""
    return transfer_id(org_id, f"excess/{call_id.hex}")


def adjustment_id(org_id: UUID, key: str) -> UUID:
    """An adjustment under a key that its caller chose."""
    return transfer_id(org_id, f"adjustment/{key}")


def lease_id(org_id: UUID, step: UUID, kind: str) -> UUID:
    """A transfer that opens ("pending") or closes ("void") what a lease has reserved; `step` is drawn for each."""
    return transfer_id(org_id, f"lease/{kind}/{step.hex}")


def draw_id(org_id: UUID, lease: UUID, batch: UUID) -> UUID:
    """What one flush charges a lease."""
    return transfer_id(org_id, f"draw/{lease.hex}/{batch.hex}")


def draw_excess_id(org_id: UUID, lease: UUID, batch: UUID) -> UUID:
    """What one flush charges the platform for a lease's calls."""
    return transfer_id(org_id, f"draw-excess/{lease.hex}/{batch.hex}")
