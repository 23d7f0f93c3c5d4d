"""Money: integers of nano-dollars inside, decimal text on the wire. Nothing else converts."""

from __future__ import annotations

import re
from typing import Final

NANO: Final = 1_000_000_000
"""Nano-dollars in a dollar."""

MAX_NANO: Final = 10_000_000 * NANO
"""Ten million dollars. Amounts from outside are smaller, so that hundreds of them add up within a bigint."""

_CLEAN: Final = re.compile(r"(0|[1-9]\d{0,17})(?:\.(\d+))?", re.ASCII)


class UncleanAmountError(ValueError):
    """The text is no clean decimal: a sign, an exponent, a word, too many digits."""


def parse(text: str, max_decimals: int) -> int:
    """Nano-dollars of decimal text such as "12.5".

    Raises `UncleanAmountError` for anything but digits with at most one point, for more than `max_decimals` digits
    after it, and for amounts of `MAX_NANO` or more. Zero is clean; whether it is allowed is the caller's rule.
    """
    match = _CLEAN.fullmatch(text)
    if match is None:
        raise UncleanAmountError("not a plain decimal number")
    fraction = match[2] or ""
    if len(fraction) > max_decimals:
        raise UncleanAmountError(f"more than {max_decimals} digits after the point")
    nano = int(match[1]) * NANO + int(fraction.ljust(9, "0")[:9] or "0")
    if nano >= MAX_NANO:
        raise UncleanAmountError("too large")
    return nano


def to_text(nano: int) -> str:
    """Decimal text with trailing zeros cut: 1_500_000_000 is "1.5", -1 is "-0.000000001"."""
    sign = "-" if nano < 0 else ""
    whole, fraction = divmod(abs(nano), NANO)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:09d}".rstrip("0")
