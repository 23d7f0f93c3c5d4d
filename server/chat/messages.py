"""What a conversation may look like: enough to bound what it costs, no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from server.chat.key_folding import look_alike, shown
from server.rpc.errors import InvalidArgumentError

MAX_MESSAGES: Final = 2048
_MAX_ROLE_CHARACTERS: Final = 64

MEDIA: Final = frozenset({"image_url", "input_audio", "file"})
"""Types of parts that cost more than their text."""

_MESSAGE_KEYS: Final = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "audio"})
_PLAIN_KEYS: Final = frozenset({"role", "content"})
_ROLES: Final = ("user", "assistant", "system", "developer", "tool")
_PART_KEYS: Final = MEDIA | {"type", "text", "refusal"}


def check_messages(key: str, value: object) -> None:
    """A list of 1 to 2,048 messages. Raises `InvalidArgumentError` naming the message and field."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_MESSAGES:
        raise InvalidArgumentError.of(key, f"must be a list of 1 to {MAX_MESSAGES} messages")
    for position, message in enumerate(value):
        if _is_plain(message):
            continue
        if not isinstance(message, dict):
            raise InvalidArgumentError.of(f"{key}[{position}]", "must be an object")
        _check_message(f"{key}[{position}]", message)


def check_tools(key: str, value: object) -> None:
    """A list of objects with a type. Raises `InvalidArgumentError`."""
    if value is None:
        return
    if not isinstance(value, list):
        raise InvalidArgumentError.of(key, "must be a list")
    for position, tool in enumerate(value):
        path = f"{key}[{position}]"
        if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
            raise InvalidArgumentError.of(path, "must be an object with a type")
        _refuse_look_alike(path, tool, frozenset({"type"}))


def check_text(path: str, text: str) -> None:
    """Text without the character U+0000. Raises `InvalidArgumentError`."""
    if "\x00" in text:
        raise InvalidArgumentError.of(path, "must not hold the character U+0000")


def _is_plain(message: object) -> bool:
    """Whether it is a role and a text and nothing else, as most are: then there is nothing to name or to look for."""
    if not isinstance(message, dict) or not message.keys() <= _PLAIN_KEYS:
        return False
    role, content = message.get("role"), message.get("content")
    return role in _ROLES and isinstance(content, str) and "\x00" not in content


def _check_message(path: str, message: Mapping[str, object]) -> None:
    _refuse_look_alike(path, message, _MESSAGE_KEYS)
    role = message.get("role")
    if not isinstance(role, str) or not 1 <= len(role) <= _MAX_ROLE_CHARACTERS:
        raise InvalidArgumentError.of(f"{path}.role", f"must be text of 1 to {_MAX_ROLE_CHARACTERS} characters")
    check_text(f"{path}.role", role)
    for key in ("name", "tool_call_id"):
        value = message.get(key)
        if value is None:
            continue
        if not isinstance(value, str):
            raise InvalidArgumentError.of(f"{path}.{key}", "must be text")
        check_text(f"{path}.{key}", value)
    _check_content(f"{path}.content", message.get("content"))


def _check_content(path: str, content: object) -> None:
    if content is None:
        return
    if isinstance(content, str):
        check_text(path, content)
        return
    if not isinstance(content, list):
        raise InvalidArgumentError.of(path, "must be text, a list of parts or null")
    for position, part in enumerate(content):
        _check_part(f"{path}[{position}]", part)


def _check_part(path: str, part: object) -> None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise InvalidArgumentError.of(path, "must be an object with a type")
    _refuse_look_alike(path, part, _PART_KEYS)
    stowaway = next((key for key in part if key in MEDIA and key != part["type"]), None)
    if stowaway is not None:
        raise InvalidArgumentError.of(f"{path}.{stowaway}", f"does not belong to a part of type {shown(part['type'])}")
    text = part.get("text")
    if text is None:
        return
    if not isinstance(text, str):
        raise InvalidArgumentError.of(f"{path}.text", "must be text")
    check_text(f"{path}.text", text)


def _refuse_look_alike(path: str, members: Mapping[str, object], names: frozenset[str]) -> None:
    found = look_alike(members, names)
    if found is not None:
        raise InvalidArgumentError.of(f"{path}.{shown(found[0])}", f"looks like {found[1]} without being it")
