"""Organizations for tests of the running product."""

from __future__ import annotations

import base64
import itertools
import json
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from tests.support.served import Served

PASSWORD: Final = "securepassword"
_NUMBERS: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization with its owner and a key."""

    organization_id: str
    user_id: str
    email: str
    token: str
    """The owner's access token."""
    refresh_token: str
    key: str
    """Secret of a key with scope `chat`."""
    key_id: str
    session_id: str
    """The session of `token`."""


def make_tenant(served: Served, dollars: str = "", plan: str = "") -> Tenant:
    """A new organization, credited by the platform's administrator where `dollars` says how much; on a plan where one
    is named, else on the default."""
    email = f"owner-{next(_NUMBERS)}-{uuid4().hex[:8]}@example.com"
    account = served.post("/v1/auth/register", {"name": "Tenant", "email": email, "password": PASSWORD})
    token, organization_id = account["access_token"], account["organization"]["id"]
    if dollars:
        credit = {"amount": dollars, "operation": "CREDIT", "organization_id": organization_id}
        served.post("/v1/billing/balance", credit, served.admin_token)
    if plan:
        assign(served, organization_id, plan)
    made = served.post("/v1/keys", {"name": "test"}, token)
    return Tenant(
        organization_id,
        account["user"]["id"],
        email,
        token,
        account["refresh_token"],
        made["secret"],
        made["key"]["id"],
        _session_of(token),
    )


def assign(served: Served, organization_id: str, plan: str) -> None:
    """Puts an organization on a plan."""
    wanted = {"organization_id": organization_id, "plan_id": plan}
    served.post("/v1/subscription:assign", wanted, served.admin_token)


def _session_of(token: str) -> str:
    """What the access token says of its session."""
    payload = token.split(".")[1]
    session_id: str = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sid"]
    return session_id
