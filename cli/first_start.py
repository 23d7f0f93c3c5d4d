"""What the first start outside production makes: an administrator, an organization with promo credit, and its key."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cli.supervisor.data_dir import write_private_json
from server.app import Capabilities, Ground
from server.auth.registrar import AccountWish
from server.foundation.money import NANO
from server.keys.key_ring import KeyWish

ADMIN_EMAIL: Final = "admin@tollbridge.local"
ORGANIZATION: Final = "Tollbridge"
PLAN: Final = "unlimited"
PROMO_NANO: Final = 100 * NANO
"""100 dollars, for any model."""


@dataclass(frozen=True, slots=True)
class FirstSecrets:
    """Shown once."""

    admin_email: str
    admin_password: str
    api_key: str


async def make(ground: Ground, capabilities: Capabilities, pending: Path) -> FirstSecrets | None:
    """The first account and key; None where there is an administrator already and somebody was told its secrets.

    Repeatable: what an interrupted first start left is completed, with new secrets. They lie in `pending` from before
    they are valid until the supervisor has handed them out and removes it, so a kill at any time loses none. Raises
    OSError where it cannot be written.
    """
    administration = capabilities.administration
    if await administration.has_admin():
        return _never_handed_out(pending)
    wish = AccountWish(email=ADMIN_EMAIL, username="", name=ORGANIZATION)
    issued = await administration.issue(wish)
    async with ground.database.tenant(issued.org_id) as transaction:
        await capabilities.subscriptions.subscribe(transaction, issued.org_id, PLAN, ground.clock.now())
        await capabilities.accounts.grant_promo(
            transaction, issued.org_id, PROMO_NANO, (), None, "Promo credit of the first start", "first-start"
        )
    _key, secret = await capabilities.key_ring.issue(issued.org_id, KeyWish(name="First key", scopes=("chat",)))
    secrets = FirstSecrets(issued.email, issued.one_time_password, secret)
    write_private_json(pending, asdict(secrets))
    # Last: what comes before is made again where this start breaks off.
    await administration.promote(issued)
    return secrets


def _never_handed_out(pending: Path) -> FirstSecrets | None:
    try:
        return FirstSecrets(**json.loads(pending.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
