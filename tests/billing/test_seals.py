"""Ledger and audit are sealed after commit: every row once, and whatever is changed afterwards is found and named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import pytest

from server.audit import entries
from server.audit.seals import AUDIT_CHAIN
from server.billing.seals import CHAINS, LEDGER_CHAIN
from server.foundation import ids
from server.foundation.ids import uuid7
from server.storage import sealing
from server.storage.database import Role
from server.storage.seal_checks import check_seals, check_waiting
from server.storage.sealing import Chain
from tests.billing.books import Books, context_of


async def seal(books: Books) -> int:
    """One run of the sealer; how many rounds it made."""
    async with books.database.privileged(Role.KEEPER) as transaction:
        return await sealing.seal(transaction, CHAINS)


async def difference(books: Books) -> str:
    """What the check of seals says is wrong; empty where nothing is."""
    return (await check_seals(books.database, CHAINS)).difference or ""


async def unsealed(books: Books) -> int:
    """Rows that no seal of their organization covers, counted without the sealer's own code."""
    left = 0
    for chain in CHAINS:
        left += await books.count(
            f"{chain.table} t",
            f"NOT EXISTS (SELECT FROM seal s WHERE s.org_id = t.org_id AND s.chain = '{chain.name}'"
            " AND t.position BETWEEN s.first_position AND s.last_position)",
        )
    return left


async def note(books: Books, org_id: UUID, subject: str = "key_x") -> None:
    """Writes an audit entry."""
    async with books.database.tenant(org_id) as transaction:
        await entries.record(transaction, context_of(org_id), org_id, "key.create", subject)


class SeenBy:
    """The database from inside the superuser's open transaction, which is rolled back afterwards."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def privileged(self, _role: Role) -> SeenBy:
        return self

    async def __aenter__(self) -> object:
        return self.books.owner

    async def __aexit__(self, *_error: object) -> None:
        return


async def found_after(books: Books, statements: Sequence[str], org_id: UUID) -> str:
    """What the check of seals says after changes that no trigger stopped, which are then taken back."""
    transaction = books.owner.transaction()
    await transaction.start()
    for statement in statements:
        await tamper(books, statement, org_id)
    report = await check_seals(SeenBy(books), CHAINS)  # type: ignore[arg-type]
    await transaction.rollback()
    return report.difference or ""


async def tamper(books: Books, statement: str, *arguments: object) -> None:
    """Changes something as a superuser whom no trigger stops."""
    async with books.owner.transaction():
        await books.owner.execute("SET LOCAL session_replication_role = replica")
        done = await books.owner.execute(statement, *arguments)
    assert not done.endswith(" 0"), statement


async def sealed_history(books: Books, rounds: int = 3) -> list[UUID]:
    """Three organizations with transfers and audit entries in several rounds, all of them sealed."""
    orgs = [await books.organization() for _ in range(3)]
    for number in range(rounds):
        for org_id in orgs:
            for _ in range(3):
                await books.promo(org_id, 10 + number)
                await note(books, org_id)
        assert await seal(books) == 1
    assert await unsealed(books) == 0
    assert await difference(books) == ""
    return orgs


COPY = ", ".join(LEDGER_CHAIN.columns).replace("id,", "gen_random_uuid(),", 1)
OF_SEAL_2 = "position = (SELECT last_position FROM seal WHERE org_id = $1 AND chain = '{}' AND number = 2)"
LEDGER_ROW = OF_SEAL_2.format("ledger")
AUDIT_ROW = OF_SEAL_2.format("audit")

CHANGES = (
    (f"UPDATE ledger_transfer SET amount = amount + 1 WHERE {LEDGER_ROW}", "seal 2 in the ledger of {}"),
    (f"UPDATE ledger_transfer SET description = '' WHERE {LEDGER_ROW}", "seal 2 in the ledger of {}"),
    (
        f"UPDATE ledger_transfer SET create_time = create_time - interval '1 us' WHERE {LEDGER_ROW}",
        "seal 2 in the ledger of {}",
    ),
    (f"DELETE FROM ledger_transfer WHERE {LEDGER_ROW}", "expected 3 rows, found 2"),
    (
        (
            f"INSERT INTO ledger_transfer ({', '.join(LEDGER_CHAIN.columns)})"
            f" SELECT {COPY} FROM ledger_transfer WHERE {LEDGER_ROW}"
        ),
        "expected 3 rows, found 4",
    ),
    (f"UPDATE audit_entry SET subject = 'key_y' WHERE {AUDIT_ROW}", "seal 2 in the audit of {}"),
    (f"UPDATE audit_entry SET actor_id = '' WHERE {AUDIT_ROW}", "seal 2 in the audit of {}"),
    (f"DELETE FROM audit_entry WHERE {AUDIT_ROW}", "seal 2 in the audit of {}"),
    ("DELETE FROM seal WHERE org_id = $1 AND chain = 'ledger' AND number = 2", "rows that no seal covers"),
    ("UPDATE seal SET content = sha256('x') WHERE org_id = $1 AND number = 2", "seal 2 in the"),
    ("UPDATE seal SET previous = sha256('x') WHERE org_id = $1 AND number = 2", "seal 2 in the"),
    ("UPDATE seal SET hash = sha256('x') WHERE org_id = $1 AND number = 3", "the seal itself was changed"),
    ("UPDATE seal SET row_count = 4 WHERE org_id = $1 AND number = 2", "expected 4 rows, found 3"),
)


async def test_what_is_changed_behind_a_seal_is_found_and_named(books: Books) -> None:
    orgs = await sealed_history(books)
    name = ids.to_text(ids.ORGANIZATION, orgs[1])
    row = await books.owner.fetchrow("SELECT after_position + 1, through_position FROM seal_round WHERE number = 2")
    assert row is not None
    for statement, said in CHANGES:
        found = await found_after(books, [statement], orgs[1])
        assert said.format(name) in found, (statement, found)
        assert name in found, (statement, found)
        if "number = 3" not in statement:
            assert "round 2" in found, (statement, found)
            first, last = (int(word) for word in found.split("positions ")[1].split(",")[0].split(" to "))
            assert row[0] <= first <= last <= row[1], (statement, found)
    assert await difference(books) == "", "every change was taken back"


REMOVALS = (
    # The last seal of an organization, with its rows: the round holds their hash.
    (
        [
            (
                "DELETE FROM ledger_transfer t USING seal s WHERE s.org_id = $1 AND t.org_id = s.org_id"
                " AND s.chain = 'ledger' AND s.number = 3 AND t.position BETWEEN s.first_position AND s.last_position"
            ),
            "DELETE FROM seal WHERE org_id = $1 AND chain = 'ledger' AND number = 3",
        ],
        "round 3, positions",
    ),
    # The last round with all that it sealed: the sealer's mark knows of it.
    (
        [
            f"DELETE FROM {table} WHERE position > (SELECT after_position FROM seal_round WHERE number = 3)"
            " AND $1::uuid IS NOT NULL"
            for table in ("ledger_transfer", "audit_entry")
        ]
        + [
            "DELETE FROM seal WHERE round = 3 AND $1::uuid IS NOT NULL",
            "DELETE FROM seal_round WHERE number = 3 AND $1::uuid IS NOT NULL",
        ],
        "round 3: it is gone",
    ),
    (["DELETE FROM seal_round WHERE number = 1 AND $1::uuid IS NOT NULL"], "round 1: it is gone"),
    (
        ["UPDATE seal_round SET create_time = now() WHERE number = 2 AND $1::uuid IS NOT NULL"],
        "the round itself was changed",
    ),
    (["UPDATE ledger_transfer SET org_id = gen_random_uuid() WHERE org_id = $1"], "round 1: rows that no seal covers"),
)


async def test_what_is_taken_away_is_missed(books: Books) -> None:
    orgs = await sealed_history(books)
    for statements, said in REMOVALS:
        found = await found_after(books, statements, orgs[1])
        assert said in found, (statements, found)


async def test_a_seal_made_anew_over_changed_rows_does_not_fit_its_round(books: Books) -> None:
    """Whoever knows how seals are made and makes one anew must make every round anew, and the head shows that."""
    orgs = await sealed_history(books)
    head = (await check_seals(books.database, CHAINS)).head
    await tamper(books, "UPDATE ledger_transfer SET amount = amount + 1 WHERE org_id = $1", orgs[0])
    await tamper(books, "DELETE FROM seal WHERE $1::uuid IS NOT NULL", orgs[0])
    await tamper(books, "DELETE FROM seal_round WHERE $1::uuid IS NOT NULL", orgs[0])
    assert "round 1: it is gone" in await difference(books)
    while await seal(books):
        pass
    assert (await check_seals(books.database, CHAINS)).head != head


async def test_the_first_of_many_differences_is_named(books: Books) -> None:
    orgs = await sealed_history(books)
    await tamper(books, f"UPDATE audit_entry SET ip = '::1' WHERE {AUDIT_ROW}", orgs[2])
    await tamper(books, f"DELETE FROM ledger_transfer WHERE {LEDGER_ROW}", orgs[1])
    last = "position = (SELECT max(position) FROM ledger_transfer WHERE org_id = $1)"
    await tamper(books, f"UPDATE ledger_transfer SET amount = 1 WHERE {last}", orgs[0])
    found = await difference(books)
    assert found.startswith("3 differ, first seal 2 in the "), found
    assert "round 2" in found


async def test_rows_of_a_slow_transaction_are_sealed_once_and_nothing_is_left_out(books: Books) -> None:
    orgs = await sealed_history(books, rounds=1)
    async with books.database.tenant(orgs[0]) as slow:
        await entries.record(slow, context_of(orgs[0]), orgs[0], "key.create", "slow")
        for number in range(4):
            await note(books, orgs[1], f"quick {number}")
            await seal(books)
        assert await difference(books) == ""
        assert await unsealed(books) >= 4, "nothing after the slow row may be sealed before it is known"
    await seal(books)
    await seal(books)
    assert await unsealed(books) == 0
    assert await difference(books) == ""


async def test_writers_that_never_stop_do_not_keep_rows_waiting(books: Books) -> None:
    org_id = await books.organization()
    await note(books, org_id, "first")
    transactions = [books.database.tenant(org_id) for _ in range(4)]
    open_now = []
    for context in transactions:
        transaction = await context.__aenter__()
        await entries.record(transaction, context_of(org_id), org_id, "key.create", "overlapping")
        open_now.append(context)
        if len(open_now) > 1:
            await open_now.pop(0).__aexit__(None, None, None)
        await seal(books)
    sealed = await books.count("audit_entry", "position <= (SELECT max(through_position) FROM seal_round)")
    assert sealed >= 3, "each run seals what the runs before could not"
    await open_now.pop().__aexit__(None, None, None)


async def test_what_was_rolled_back_leaves_no_gap_and_no_seal(books: Books) -> None:
    orgs = await sealed_history(books, rounds=1)
    with pytest.raises(LookupError):
        async with books.database.tenant(orgs[0]) as transaction:
            await entries.record(transaction, context_of(orgs[0]), orgs[0], "key.create", "never")
            raise LookupError
    assert await seal(books) == 0, "an empty range makes no round"
    await note(books, orgs[0])
    assert await seal(books) == 1
    assert await difference(books) == ""
    assert await unsealed(books) == 0


async def test_concurrent_commits_and_two_sealers_seal_each_row_once(books: Books) -> None:
    orgs = [await books.organization() for _ in range(4)]
    done = asyncio.Event()

    async def write(org_id: UUID) -> None:
        for number in range(40):
            async with books.database.tenant(org_id) as transaction:
                await entries.record(transaction, context_of(org_id), org_id, "key.create", str(number))
                await asyncio.sleep(0.001 * (number % 4))
                await entries.record(transaction, context_of(org_id), org_id, "key.update", str(number))

    async def keep_sealing() -> None:
        while not done.is_set():
            await seal(books)

    sealers = [asyncio.create_task(keep_sealing()) for _ in range(2)]
    await asyncio.gather(*(write(org_id) for org_id in orgs))
    done.set()
    await asyncio.gather(*sealers)
    await seal(books)
    await seal(books)
    assert await books.count("seal_round") > 3, "the sealers worked meanwhile"
    assert await difference(books) == ""
    assert await unsealed(books) == 0
    assert await books.owner.fetchval("SELECT sum(row_count) FROM seal WHERE chain = 'audit'") == 320


async def test_a_sealer_that_dies_leaves_nothing_half_done(books: Books) -> None:
    orgs = await sealed_history(books, rounds=1)
    await books.promo(orgs[0], 5)
    with pytest.raises(LookupError):
        async with books.database.privileged(Role.KEEPER) as transaction:
            assert await sealing.seal(transaction, CHAINS) == 1
            raise LookupError
    assert await books.count("seal_round") == 1
    assert await seal(books) == 1
    assert await difference(books) == ""
    assert await unsealed(books) == 0


async def test_a_long_backlog_is_worked_off_in_rounds(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BATCH_POSITIONS", 4)
    org_id = await books.organization()
    for _ in range(10):
        await note(books, org_id)
    assert await seal(books) == 3
    rows = await books.owner.fetch("SELECT number, row_count FROM seal ORDER BY number")
    assert [tuple(row) for row in rows] == [(1, 4), (2, 4), (3, 2)]
    assert await difference(books) == ""


async def test_organizations_without_rows_have_no_seals_and_chains_outlive_organizations(books: Books) -> None:
    empty = await books.organization()
    assert await seal(books) == 0
    orgs = await sealed_history(books)
    assert await books.count("seal", f"org_id = '{empty}'") == 0
    for table in ("funding", "ledger_account", "subscription"):
        await tamper(books, f"DELETE FROM {table} WHERE org_id = $1", orgs[0])
    await tamper(books, "DELETE FROM organization WHERE id = $1", orgs[0])
    assert await difference(books) == ""
    assert await books.count("seal", f"org_id = '{orgs[0]}'") == 6


@pytest.mark.parametrize("table", ["seal", "seal_round"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET hash = ''", "DELETE FROM {}", "TRUNCATE {}"])
async def test_seals_do_not_change_even_for_the_owner(books: Books, table: str, statement: str) -> None:
    await sealed_history(books, rounds=1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await books.owner.execute(statement.format(table))
    for role in (Role.APP, Role.METER, Role.KEEPER, Role.PLATFORM):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            async with books.database.privileged(role) as transaction:
                await transaction.execute(statement.format(table))


async def test_nobody_chooses_the_place_of_an_entry(books: Books) -> None:
    org_id = await books.organization()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with books.database.tenant(org_id) as transaction:
            await transaction.execute(
                "INSERT INTO audit_entry (id, org_id, actor_kind, actor_id, action, subject, request_id, ip, position)"
                " VALUES ($1, $2, 'USER', '', 'key.create', '', '', '', 1)",
                *(uuid7(), org_id),
            )


@pytest.mark.parametrize("chain", [AUDIT_CHAIN, LEDGER_CHAIN])
async def test_every_column_is_sealed(books: Books, chain: Chain) -> None:
    rows = await books.owner.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = $1", chain.table
    )
    assert sorted(row["column_name"] for row in rows) == sorted(chain.columns)


async def test_what_waits_longer_than_a_minute_is_named(books: Books) -> None:
    orgs = await sealed_history(books, rounds=1)
    await note(books, orgs[0])
    await tamper(books, "UPDATE audit_entry SET create_time = now() - interval '2 minutes' WHERE org_id = $1", orgs[0])
    assert await check_waiting(books.database, CHAINS) is None, "no server ran since"
    await books.owner.execute("INSERT INTO process (id, host, lock_path) VALUES ($1, 'here', '')", uuid7())
    await books.owner.execute("UPDATE seal_mark SET mark_time = now() - interval '2 hours'")
    assert await check_waiting(books.database, CHAINS) is None, "the server has just been started"
    await books.owner.execute("UPDATE process SET start_time = now() - interval '3 hours'")
    await books.owner.execute("UPDATE seal_mark SET mark_time = now()")
    assert await check_waiting(books.database, CHAINS) is None, "the sealer was here just now"
    await books.owner.execute("UPDATE seal_mark SET mark_time = now() - interval '2 minutes'")
    found = await check_waiting(books.database, CHAINS)
    assert found is not None
    assert ids.to_text(ids.ORGANIZATION, orgs[0]) in found
    assert "nothing seals" in found
    async with books.database.tenant(orgs[1]) as slow:
        await entries.record(slow, context_of(orgs[1]), orgs[1], "key.create", "slow")
        await seal(books)
        await books.owner.execute("UPDATE seal_mark SET mark_time = now() - interval '2 minutes'")
        assert "still open" in (await check_waiting(books.database, CHAINS) or "")
    await seal(books)
    await seal(books)
    assert await check_waiting(books.database, CHAINS) is None
