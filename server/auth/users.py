"""What a person is, and what sign-in reads of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class User:
    """A person who can sign in."""

    id: UUID
    email: str
    """As the person wrote it; compared without regard to case."""
    username: str
    """Empty where none was chosen."""
    name: str
    platform_admin: bool
    create_time: datetime

    @property
    def logins(self) -> tuple[str, ...]:
        """All that the person may sign in with, as throttling compares it."""
        return tuple(login_key(text) for text in (self.email, self.username) if text)


@dataclass(frozen=True, slots=True)
class Account:
    """A person with what signing in takes."""

    user: User
    password_digest: str
    one_time: bool
    """Whether the password signs in only once."""
    org_id: UUID
    """The organization that a new session acts in: the first that the person was in."""
    suspended: bool
    """Whether that organization is."""


def login_key(login: str) -> str:
    """An e-mail address or user name as it is compared."""
    return login.strip().lower()
