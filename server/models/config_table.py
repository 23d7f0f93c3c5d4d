"""One table of a configuration file: values are taken out by name and type, and what is left over is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from server.foundation import money
from server.models.config_errors import ConfigFileError, line_of

_PRICE_DECIMALS: Final = 9
_MAX_PRICE: Final = 1_000_000 * money.NANO
"""A million dollars per million tokens."""
_MAX_TOKENS: Final = 2**31 - 1


class Table:
    """A `[[providers]]`, `[[models]]` or `[[profiles]]` table."""

    def __init__(self, source: str, text: str, section: str, index: int, values: Mapping[str, object]) -> None:
        self._source = source
        self._text = text
        self._section = section
        self._index = index
        self._values = values

    def wrong(self, key: str, reason: str) -> ConfigFileError:
        """The error to raise about one of its keys."""
        line = line_of(self._text, self._section, self._index, key)
        return ConfigFileError(self._source, line, f"{self._section}[{self._index}].{key}", reason)

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._values

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Raises for a key that means nothing."""
        names = sorted(known)
        for key in self._values:
            if key not in names:
                raise self.wrong(key, f"unknown key; known are {', '.join(names)}")

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty. Without a default the key is required."""
        value = self._values.get(key, default)
        if value is None:
            raise self.wrong(key, "is required")
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise self.wrong(key, "must be a text that is not empty")
        return value

    def short(self, key: str, default: str, most: int) -> str:
        """A text of at most so many characters."""
        value = self.text(key, default)
        if len(value) > most:
            raise self.wrong(key, f"must be at most {most} characters")
        return value

    def prose(self, key: str, most: int) -> str:
        """A text that may have several lines, as it stands. Required, not blank, at most so many characters."""
        value = self._values.get(key)
        if value is None:
            raise self.wrong(key, "is required")
        if not isinstance(value, str) or not value.strip() or "\x00" in value:
            raise self.wrong(key, "must be a text that is not empty")
        if len(value) > most:
            raise self.wrong(key, f"must be at most {most} characters")
        return value

    def number(self, key: str, low: float, high: float) -> float | None:
        """A number within bounds, or None where the key is not there."""
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.wrong(key, f"must be a number from {low:g} to {high:g}")
        return float(value)

    def choice(self, key: str, default: str | None, choices: tuple[str, ...]) -> str:
        """One of some words."""
        value = self.text(key, default)
        if value not in choices:
            raise self.wrong(key, f"must be one of {', '.join(choices)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "must be true or false")
        return value

    def tokens(self, key: str) -> int | None:
        """A number of tokens above zero, or None where the key is not there."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MAX_TOKENS:
            raise self.wrong(key, f"must be a whole number from 1 to {_MAX_TOKENS}")
        return value

    def price(self, key: str) -> int | None:
        """Nano-dollars per million tokens from dollars as decimal text, or None where the key is not there."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.wrong(key, 'must be decimal text in quotes, for instance "0.15"')
        try:
            nano = money.parse(value, _PRICE_DECIMALS)
        except money.UncleanAmountError as error:
            raise self.wrong(key, f"must be dollars per million tokens as plain decimal text: {error}") from error
        if nano > _MAX_PRICE:
            raise self.wrong(key, "must be at most 1000000 dollars per million tokens")
        return nano

    def unique(self, key: str, value: str, seen: Callable[[str], bool]) -> str:
        """The value, where no table before had it."""
        if seen(value):
            raise self.wrong(key, f"{value!r} is declared twice")
        return value
