"""Brute force: wrong credentials slow down their account and address, never for good.

Counters live in Valkey, so that they do not multiply with processes. An attempt is taken before its password is
checked and given back when it was right: a burst of parallel guesses gets no more tries than a patient one. Someone
who signed in from an address before is counted apart from strangers, so strangers lock nobody out.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.auth.users import login_key
from server.foundation.clock import Clock
from server.foundation.secrets import Pepper
from server.rpc.errors import TooManyAttemptsError, UnavailableError

_SECONDS: Final = 1.0
"""Longest wait for Valkey."""
_KNOWN_FOR: Final = timedelta(days=30)
_IPV6_SITE_BITS: Final = 64
"""One subscriber holds a /64, so that is what is counted."""

# Named script: attempts_take. Refuses while any subject is blocked, else counts one attempt for each of them.
# KEYS: subjects. ARGV: now in ms, then limit, window, first and longest block in ms for each. Returns ms to wait, or 0.
_TAKE: Final = """
local now = tonumber(ARGV[1])
local rows, wait = {}, 0
for i, key in ipairs(KEYS) do
  local row = redis.call('HMGET', key, 'count', 'since', 'blocked')
  rows[i] = {tonumber(row[1]) or 0, tonumber(row[2]) or 0, tonumber(row[3]) or 0}
  wait = math.max(wait, rows[i][3] - now)
end
if wait > 0 then return wait end
for i, key in ipairs(KEYS) do
  local at = i * 4 - 2
  local limit, window = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local first, longest = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local count, since = rows[i][1], rows[i][2]
  if now - math.max(since, rows[i][3]) > window then count, since = 0, now end
  if count == 0 then since = now end
  count = count + 1
  local blocked = 0
  if count >= limit then blocked = now + math.min(longest, first * 2 ^ (count - limit)) end
  redis.call('HSET', key, 'count', count, 'since', string.format('%.0f', since))
  redis.call('HSET', key, 'blocked', string.format('%.0f', blocked))
  redis.call('PEXPIRE', key, window + longest)
end
return 0
"""

# Named script: attempts_give_back. Takes one attempt off each subject, with the block that it caused.
_GIVE_BACK: Final = """
for _, key in ipairs(KEYS) do
  local count = tonumber(redis.call('HGET', key, 'count') or 0)
  if count <= 1 then redis.call('DEL', key)
  else redis.call('HSET', key, 'count', count - 1, 'blocked', 0) end
end
return 0
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many wrong attempts are free, and how long the waits behind them are."""

    attempts: int
    window: timedelta
    """Counting starts anew so long after the first attempt that was counted, or after the end of a wait."""
    first_wait: timedelta
    """After the last free attempt; doubles with each further one."""
    longest_wait: timedelta


PER_ACCOUNT: Final = Limit(10, timedelta(minutes=15), timedelta(seconds=30), timedelta(minutes=15))
PER_ADDRESS: Final = Limit(50, timedelta(minutes=5), timedelta(seconds=15), timedelta(minutes=5))


@dataclass(frozen=True, slots=True)
class Subject:
    """What attempts are counted for."""

    key: str
    limit: Limit


class AttemptThrottle:
    """Counts wrong credentials."""

    def __init__(
        self,
        valkey: Redis,
        pepper: Pepper,
        clock: Clock,
        per_account: Limit = PER_ACCOUNT,
        per_address: Limit = PER_ADDRESS,
    ) -> None:
        """`pepper` hides accounts and addresses from whoever reads Valkey."""
        self._valkey = valkey
        self._pepper = pepper
        self._clock = clock
        self._per_account = per_account
        self._per_address = per_address

    def address(self, ip: str) -> Subject:
        """The address that a credential came from."""
        return Subject(self._key("address", site_of(ip)), self._per_address)

    def credential(self, name: str) -> Subject:
        """The account or key that is being guessed at, by any text that names it."""
        return Subject(self._key("credential", name), self._per_account)

    async def login(self, login: str, ip: str) -> Subject:
        """The account that a sign-in names, existing or not; for addresses it knows, counted apart from strangers.

        Raises `UnavailableError`.
        """
        known = await self._run(self._valkey.exists(self._known_key(login, ip)))
        name = login_key(login)
        return self.credential(f"{name}|{site_of(ip)}" if known else name)

    async def take(self, subjects: Sequence[Subject]) -> None:
        """Counts one attempt for each. Raises `TooManyAttemptsError`, then counting none, and `UnavailableError`."""
        keys = [subject.key for subject in subjects]
        numbers = [number for subject in subjects for number in _numbers(subject.limit)]
        now = int(self._clock.now().timestamp() * 1000)
        wait = await self._run(self._valkey.eval(_TAKE, len(keys), *keys, now, *numbers))
        if wait:
            raise TooManyAttemptsError(wait / 1000)

    async def give_back(self, subjects: Sequence[Subject]) -> None:
        """The attempt was a right one: it does not count. Raises `UnavailableError`."""
        keys = [subject.key for subject in subjects]
        await self._run(self._valkey.eval(_GIVE_BACK, len(keys), *keys))

    async def remember(self, logins: Sequence[str], ip: str) -> None:
        """The account signed in from this address. Raises `UnavailableError`."""
        for login in logins:
            await self._run(self._valkey.set(self._known_key(login, ip), 1, ex=_KNOWN_FOR))

    def _known_key(self, login: str, ip: str) -> str:
        return self._key("known", f"{login_key(login)}|{site_of(ip)}")

    def _key(self, kind: str, text: str) -> str:
        # One hash tag, so that a cluster keeps all subjects of a decision in one place.
        return f"tollbridge:{{attempts}}:{kind}:{self._pepper.digest(f'{kind}|{text}'.encode()).hex()[:32]}"

    async def _run(self, command: Any) -> Any:
        try:
            async with asyncio.timeout(_SECONDS):
                return await command
        except (RedisError, OSError, TimeoutError) as error:
            raise UnavailableError(f"Valkey does not count attempts: {error!r}") from error


def site_of(ip: str) -> str:
    """The address as attempts are counted: IPv4 whole, IPv6 by its /64, anything else as it is."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _IPV6_SITE_BITS), strict=False))


def _numbers(limit: Limit) -> tuple[int, int, int, int]:
    spans = (limit.window, limit.first_wait, limit.longest_wait)
    window, first, longest = (int(span.total_seconds() * 1000) for span in spans)
    return limit.attempts, window, first, longest
