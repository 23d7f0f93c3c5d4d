"""Which passwords are refused: those that others would guess (NIST SP 800-63B, 3.1.1.2). No rules on characters."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from typing import Final

from server.auth.errors import PasswordRefusedError

MIN_CHARACTERS: Final = 8
MAX_CHARACTERS: Final = 256

_COMMON: Final = frozenset(
    resources.files("server.auth").joinpath("common_passwords.txt").read_text(encoding="utf-8").split()
)
_MIN_NAME: Final = 4


def check(password: str, field: str, own_names: Iterable[str]) -> None:
    """Raises `PasswordRefusedError` for a password that is too short or long, common, or the account's own name.

    `field` is where the request holds it; `own_names` are e-mail, user name and name of the account.
    """
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise PasswordRefusedError(field, f"must have {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")
    plain = password.casefold()
    if plain in _COMMON or len(set(plain)) == 1:
        raise PasswordRefusedError(field, "is one of the most common passwords")
    if _core(plain) in _cores(own_names):
        raise PasswordRefusedError(field, "is made of the account's own name")


def _cores(own_names: Iterable[str]) -> set[str]:
    texts = [name.casefold() for name in own_names]
    texts += [text.partition("@")[0] for text in texts]
    return {core for core in map(_core, texts) if len(core) >= _MIN_NAME}


def _core(text: str) -> str:
    """The letters alone: "Jane.Doe-1984!" is guessed as fast as "janedoe"."""
    return "".join(character for character in text if character.isalpha())
