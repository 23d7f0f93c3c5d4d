"""Seals: after commit, the rows of append-only tables are hashed and chained for each organization.

A change behind our back is found by computing the chains again (`server.storage.seal_checks`). What is hashed, and how,
stands here and nowhere else; PostgreSQL computes it, with functions of its own only.

Rows become visible in another order than that of their positions. So the sealer marks a position, notes which
transactions are writing at that moment, and seals up to the mark when all of those have ended: whoever drew a position
held a lock on the table before, and lets go of it after its rows are visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from server.storage.database import Transaction

BATCH_POSITIONS: Final = 50_000
"""Most positions in one round: a second at the very most."""
_ROUNDS: Final = 12
"""Most rounds in one run, so that its transaction stays short while a backlog is worked off."""

ZEROS: Final = "decode(repeat('00', 32), 'hex')"
"""What the first link of a chain has in the place of the one before."""

SEAL_HASH: Final = (
    "sha256(record_send(ROW(s.org_id, s.chain, s.number, s.round, s.first_position, s.last_position, s.row_count,"
    " s.content, s.previous)))"
)
"""A seal's hash, of a row called `s`."""

ROUND_HASH: Final = (
    "sha256(record_send(ROW(r.number, r.after_position, r.through_position, r.seal_count, r.content, r.previous,"
    " r.create_time)))"
)
"""A round's hash, of a row called `r`."""

SEALS_CONTENT: Final = "sha256(coalesce(string_agg(s.hash, ''::bytea ORDER BY s.chain, s.org_id), ''::bytea))"
"""What a round holds of its seals, called `s`."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A table whose rows are sealed. It has `id`, `org_id` and `position`, drawn from the sequence of all of them."""

    name: str
    table: str
    columns: Sequence[str]
    """Every column, in the order in which they are hashed. A column that comes later needs a chain of its own name."""

    def contents(self, after: str, through: str) -> str:
        """SQL for the rows with `after` < position <= `through`, one line an organization.

        A row's hash is SHA-256 over PostgreSQL's binary form of a record: the number of columns, then type, length and
        bytes of each, so that no two rows look alike.
        """
        row = f"sha256(record_send(ROW({', '.join(self.columns)})))"
        return f"""
    SELECT org_id, count(*) AS row_count, min(position) AS first_position, max(position) AS last_position,
           sha256(string_agg({row}, ''::bytea ORDER BY position, id)) AS content
    FROM {self.table} WHERE position > {after} AND position <= {through} GROUP BY org_id
"""  # noqa: S608 - constants of this program


# Named query: seal_take_mark. The sealer's place, which one sealer at a time has.
_TAKE_MARK: Final = "SELECT position, writers FROM seal_mark FOR UPDATE"

# Named query: seal_drawn. The last position that anybody has drawn.
_DRAWN: Final = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM sealed_position"

# Named query: seal_writers. Transactions that have a lock to write to one of the tables, and so may hold positions.
_WRITERS: Final = """
SELECT coalesce(array_agg(DISTINCT virtualtransaction), '{}') FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = ANY ($1::text[]::regclass[]::oid[])
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

# Named query: seal_set_mark. A new place, and who may still write before it.
_SET_MARK: Final = "UPDATE seal_mark SET position = $1, writers = $2, mark_time = clock_timestamp()"

# Named query: seal_last_round. Where the next round begins.
_LAST_ROUND: Final = "SELECT number, through_position FROM seal_round ORDER BY number DESC LIMIT 1"

# Named query: seal_add_round. The round over the seals that were just made.
_ADD_ROUND: Final = f"""
INSERT INTO seal_round AS o (
    number, after_position, through_position, create_time, seal_count, content, previous, hash)
SELECT r.*, {ROUND_HASH} FROM (
    SELECT $1::bigint AS number, $2::bigint AS after_position, $3::bigint AS through_position, now() AS create_time,
           count(*) AS seal_count, {SEALS_CONTENT} AS content,
           coalesce((SELECT p.hash FROM seal_round p WHERE p.number = $1 - 1), {ZEROS}) AS previous
    FROM seal s WHERE s.round = $1
) r
RETURNING o.hash
"""  # noqa: S608

# Named query: seal_note_round. What the last round is, kept beside it: a round that is taken away is missed.
_NOTE_ROUND: Final = "UPDATE seal_mark SET round = $1, hash = $2"


async def seal(transaction: Transaction, chains: Sequence[Chain]) -> int:
    """Seals what is visible for good, in rounds; answers how many rounds it made. As the keeper.

    Every committed row ends up in exactly one seal, at the latest with the second call after all transactions ended
    that wrote at the same time. Two callers at once take turns. Always give the same chains.
    """
    through = await _horizon(transaction, [chain.table for chain in chains])
    rounds = 0
    while rounds < _ROUNDS and await _seal_round(transaction, chains, through):
        rounds += 1
    return rounds


async def _horizon(transaction: Transaction, tables: Sequence[str]) -> int:
    """The position up to which nothing can become visible any more; 0 while that is not known."""
    mark = await transaction.fetchrow(_TAKE_MARK)
    assert mark is not None, "the migration made the row"
    if mark["writers"] and set(mark["writers"]) & set(await transaction.fetchval(_WRITERS, tables)):
        return 0
    # The order matters: whoever has drawn a position by now holds its lock, or has ended.
    drawn: int = await transaction.fetchval(_DRAWN)
    writers: list[str] = await transaction.fetchval(_WRITERS, tables)
    await transaction.execute(_SET_MARK, drawn, writers)
    before: int = mark["position"]
    return before if writers else drawn


async def _seal_round(transaction: Transaction, chains: Sequence[Chain], through: int) -> bool:
    """Seals the next rows up to `through`; answers whether there were any."""
    last = await transaction.fetchrow(_LAST_ROUND)
    number, after = (last["number"] + 1, last["through_position"]) if last else (1, 0)
    starts = [await transaction.fetchval(_first(chain), after, through) for chain in chains]
    positions = [position for position in starts if position is not None]
    if not positions:
        return False
    through = min(through, min(positions) + BATCH_POSITIONS - 1)
    for chain in chains:
        await transaction.execute(_add_seals(chain), chain.name, number, after, through)
    digest = await transaction.fetchval(_ADD_ROUND, number, after, through)
    await transaction.execute(_NOTE_ROUND, number, digest)
    return True


def _first(chain: Chain) -> str:
    """Named query: seal_first. The first position that is to be sealed; positions that were rolled back are skipped."""
    return f"SELECT min(position) FROM {chain.table} WHERE position > $1 AND position <= $2"  # noqa: S608


def _add_seals(chain: Chain) -> str:
    """Named query: seal_add. One seal for each organization with rows in the range, chained to its last one."""
    return f"""
INSERT INTO seal (org_id, chain, number, round, first_position, last_position, row_count, content, previous, hash)
SELECT s.*, {SEAL_HASH} FROM (
    SELECT c.org_id, $1::text AS chain, coalesce(p.number, 0) + 1 AS number, $2::bigint AS round, c.first_position,
           c.last_position, c.row_count, c.content, coalesce(p.hash, {ZEROS}) AS previous
    FROM ({chain.contents("$3", "$4")}) c
    LEFT JOIN LATERAL (
        SELECT number, hash FROM seal WHERE org_id = c.org_id AND chain = $1 ORDER BY number DESC LIMIT 1
    ) p ON true
) s
"""  # noqa: S608
