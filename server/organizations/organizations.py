"""What an organization is, and which of its values its people may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from server.foundation.windows import UnknownZoneError, zone
from server.rpc.errors import InvalidArgumentError

CHANGEABLE: Final = ("name", "description", "website", "phone", "city", "country", "time_zone")
"""Values that owners and administrators may change."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant."""

    id: UUID
    name: str
    create_time: datetime
    update_time: datetime
    description: str = ""
    website: str = ""
    phone: str = ""
    city: str = ""
    country: str = ""
    time_zone: str = "UTC"
    """IANA name."""
    suspended: bool = False
    version: int = 1

    @property
    def etag(self) -> str:
        """The version as callers see it."""
        return str(self.version)

    def changed(self, values: Mapping[str, str], now: datetime) -> Organization:
        """The organization with new values of `CHANGEABLE`. Raises `InvalidArgumentError`, naming the field."""
        if values.get("name") == "":
            raise InvalidArgumentError.of("organization.name", "must not be empty")
        if "time_zone" in values:
            _check_zone(values["time_zone"])
        return replace(self, **dict(values), update_time=now)  # type: ignore[arg-type]


def _check_zone(name: str) -> None:
    try:
        zone(name)
    except UnknownZoneError as error:
        field, text = "organization.time_zone", "is no IANA time zone, such as Europe/Berlin"
        raise InvalidArgumentError.of(field, text) from error
