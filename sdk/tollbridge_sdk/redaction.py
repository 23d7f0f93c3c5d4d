"""Keeps secrets out of what messages look like in logs and tracebacks."""

from __future__ import annotations

import betterproto2


def hide(message: type[betterproto2.Message], *fields: str) -> None:
    """Makes `repr` of a kind of message show that these fields are set, but not to what."""
    whole = message.__repr__

    def shown(self: betterproto2.Message) -> str:
        secrets = {name: getattr(self, name) for name in fields if getattr(self, name)}
        copy = type(self).parse(bytes(self)) if secrets else self
        for name in secrets:
            setattr(copy, name, "…")
        return whole(copy)

    message.__repr__ = shown  # type: ignore[method-assign]
