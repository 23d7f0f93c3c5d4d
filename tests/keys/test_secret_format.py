"""Secrets can be told from typos without a look-up, and show little of themselves."""

from __future__ import annotations

import os
import re

import pytest

from server.keys.secret_format import SecretFormat

PREFIX = "tb_live_"


def test_a_secret_is_long_plain_and_found_by_its_public_part() -> None:
    secrets = SecretFormat(PREFIX, os.urandom)
    drawn = [secrets.draw() for _ in range(200)]
    for secret in drawn:
        assert re.fullmatch(r"tb_live_[0-9A-Za-z]{65}", secret.text)
        assert secrets.public_id(secret.text) == secret.public_id == secret.text[secrets.public_part]
        assert secret.masked == f"tb_live_{secret.text[8:12]}…{secret.text[-4:]}"
    assert len({secret.public_id for secret in drawn}) == 200


def test_every_mistyped_character_is_noticed() -> None:
    secrets = SecretFormat(PREFIX, os.urandom)
    text = secrets.draw().text
    for place in range(len(text)):
        typo = text[:place] + ("x" if text[place] != "x" else "y") + text[place + 1 :]
        assert secrets.public_id(typo) is None


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda text: text[:-1], lambda text: text + "0", str.strip])
def test_what_is_not_a_secret_of_ours_has_no_public_part(change: object) -> None:
    secrets = SecretFormat(PREFIX, os.urandom)
    text = secrets.draw().text
    assert callable(change)
    wrong = change(text) if change is not str.strip else "é" * len(text)
    assert secrets.public_id(wrong) is None
    assert secrets.public_id("") is None
    assert SecretFormat("nxq", os.urandom).public_id(text) is None


def test_the_hidden_part_uses_all_the_randomness() -> None:
    ones = SecretFormat(PREFIX, lambda count: b"\xff" * count).draw()
    zeros = SecretFormat(PREFIX, bytes).draw()
    assert zeros.text[8:67] == "0" * 59
    assert ones.text != zeros.text
