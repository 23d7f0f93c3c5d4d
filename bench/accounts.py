"""Many organizations and many keys for the load, made through the public API."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from bench.rest import Refused, Rest

CREDIT: Final = "10000"
"""Dollars that each further organization gets: more than any run spends."""


@dataclass(slots=True)
class Accounts:
    """Keys of several organizations, in turn, so that neighbours in the list belong to different ones."""

    keys: list[str]
    organizations: int = 1
    notes: list[str] = field(default_factory=list)
    """What could not be made, in words for the report."""


@dataclass(frozen=True, slots=True)
class Administrator:
    """The account that the first start made."""

    email: str
    password: str


def make_accounts(
    rest: Rest, first_key: str, administrator: Administrator, *, organizations: int, keys: int
) -> Accounts:
    """`keys` keys over `organizations` organizations, the first start's among them.

    Where the server refuses a step, what exists by then is used, the first start's key at least, and a note says so.
    """
    accounts = Accounts([first_key])
    try:
        owners = [_sign_in(rest, administrator)]
    except Refused as refusal:
        accounts.notes.append(f"one key only, the administrator cannot sign in: {refusal}")
        return accounts
    try:
        while len(owners) < organizations:
            owners.append(_register(rest, owners[0]))
    except Refused as refusal:
        accounts.notes.append(f"fewer organizations than asked for: {refusal}")
    made: list[str] = []
    try:
        while len(made) < keys:
            made.append(_make_key(rest, owners[len(made) % len(owners)]))
    except Refused as refusal:
        accounts.notes.append(f"fewer keys than asked for: {refusal}")
    return Accounts(made or accounts.keys, len(owners), accounts.notes)


def _sign_in(rest: Rest, administrator: Administrator) -> str:
    """The administrator's access token, after replacing the one-time password, which opens nothing else."""
    credentials = {"email": administrator.email, "password": administrator.password}
    session = rest.call("POST", "/v1/auth/login", "", credentials)
    if not session.get("password_change_required"):
        return str(session["access_token"])
    password = secrets.token_urlsafe(24)
    change = {"current_password": administrator.password, "new_password": password}
    rest.call("POST", "/v1/auth/password:change", session["access_token"], change)
    session = rest.call("POST", "/v1/auth/login", "", {"email": administrator.email, "password": password})
    return str(session["access_token"])


def _register(rest: Rest, administrator_token: str) -> str:
    """The access token of the owner of a new organization with money."""
    account = {"email": f"{secrets.token_hex(8)}@bench.example", "password": secrets.token_urlsafe(24)}
    session = rest.call("POST", "/v1/auth/register", "", account)
    credit = {"amount": CREDIT, "operation": "CREDIT", "organization_id": session["organization"]["id"]}
    rest.call("POST", "/v1/billing/balance", administrator_token, credit)
    return str(session["access_token"])


def _make_key(rest: Rest, owner_token: str) -> str:
    return str(rest.call("POST", "/v1/keys", owner_token, {"name": "benchmark"})["secret"])
