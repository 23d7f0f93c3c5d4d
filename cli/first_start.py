"""What the first start outside production makes: an administrator, an organization with promo credit, and its key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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


async def make(ground: Ground, capabilities: Capabilities) -> FirstSecrets | None:
    """The first account and key; None where there is an administrator already.

    Repeatable: what an interrupted first start left is completed, with new secrets.
    """
    administration = capabilities.administration
    if await administration.has_admin():
        return None
    wish = AccountWish(email=ADMIN_EMAIL, username="", name=ORGANIZATION)
    issued = await administration.issue(wish)
    async with ground.database.tenant(issued.org_id) as transaction:
        await capabilities.subscriptions.subscribe(transaction, issued.org_id, PLAN, ground.clock.now())
        await capabilities.accounts.grant_promo(
            transaction, issued.org_id, PROMO_NANO, (), None, "Promo credit of the first start", "first-start"
        )
    _key, secret = await capabilities.key_ring.issue(issued.org_id, KeyWish(name="First key", scopes=("chat",)))
    # Last: what comes before is made again where this start breaks off.
    await administration.promote(issued)
    return FirstSecrets(issued.email, issued.one_time_password, secret)
