"""How audit entries are sealed."""

from __future__ import annotations

from typing import Final

from server.storage.sealing import Chain

AUDIT_CHAIN: Final = Chain(
    "audit",
    "audit_entry",
    (
        *("position", "id", "org_id", "actor_kind", "actor_id", "action", "subject", "request_id", "ip"),
        "create_time",
    ),
)
