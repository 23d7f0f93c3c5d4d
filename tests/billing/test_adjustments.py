"""Credits and debits by administrators: clean amounts, once, never below the floor, audited."""

from __future__ import annotations

import asyncio

import pytest

from server.billing.adjustments import Adjustments
from server.billing.errors import AmountInvalidError, BelowFloorError, TransferMismatchError
from server.billing.service import BillingService
from server.foundation import ids
from server.foundation.ids import uuid7
from server.models.prices import TokenCounts
from server.rpc import validation
from server.rpc.errors import ApiError, InvalidArgumentError, InvalidPageTokenError, NotFoundError
from tests.billing.books import PAGINATOR, Books, context_of, nothing_waits
from tollbridge.billing.v1.balance_pb2 import Transaction
from tollbridge.billing.v1.billing_service_pb2 import (
    AdjustBalanceRequest,
    AdjustBalanceResponse,
    GetBalanceRequest,
    ListTransactionsRequest,
)

LIST = "/tollbridge.billing.v1.BillingService/ListTransactions"


@pytest.fixture
def service(books: Books) -> BillingService:
    """The service as it is assembled."""
    return BillingService(
        books.database, books.clock, PAGINATOR, Adjustments(books.database, books.clock, uuid7), nothing_waits
    )


async def adjust(service: BillingService, books: Books, request: AdjustBalanceRequest) -> AdjustBalanceResponse:
    """The request, from an administrator with an organization of their own."""
    administrator = await books.organization()
    return await service.adjust_balance(request, context_of(administrator, platform_admin=True))


async def test_a_credit_and_a_debit_move_the_wallet_and_are_audited(service: BillingService, books: Books) -> None:
    org_id = await books.organization()
    target = ids.to_text(ids.ORGANIZATION, org_id)

    credit = await adjust(
        service,
        books,
        AdjustBalanceRequest(amount="12.5", operation="CREDIT", organization_id=target, description="welcome"),
    )
    debit = await adjust(
        service, books, AdjustBalanceRequest(amount="0.000001", operation="DEBIT", organization_id=target)
    )

    assert (credit.balance.balance, debit.balance.balance) == ("12.5", "12.499999")
    assert (credit.transaction.direction, credit.transaction.amount) == ("CREDIT", "12.5")
    assert (credit.transaction.kind, credit.transaction.funding) == ("adjustment", "wallet")
    assert (debit.transaction.direction, debit.transaction.description) == ("DEBIT", "")
    rows = await books.owner.fetch("SELECT org_id, action, subject FROM audit_entry ORDER BY create_time, id")
    assert {(row["org_id"], row["action"]) for row in rows} == {(org_id, "balance.adjust")}
    assert {row["subject"] for row in rows} == {credit.transaction.id, debit.transaction.id}
    await books.assert_right()


@pytest.mark.parametrize(
    "amount",
    [
        *(
            "NaN",
            "Infinity",
            "-1",
            "0",
            "0.000000",
            "1e308",
            "9223372036854775808",
            "0.1+0.2",
            "0.1234567",
            "1e3",
            "true",
        ),
        *("", " 1", "1 ", "+1", ".5", "5.", "1,5", "0x10", "١", "1_000", "12345678901234567890"),
    ],
)
async def test_an_unclean_amount_is_refused_by_name_and_leaves_no_row(
    service: BillingService, books: Books, amount: str
) -> None:
    with pytest.raises(AmountInvalidError) as refusal:
        await adjust(service, books, AdjustBalanceRequest(amount=amount, operation="CREDIT"))

    assert [row.field for row in refusal.value.fields] == ["amount"]
    assert await books.count("ledger_transfer") == 0
    assert await books.count("audit_entry") == 0


@pytest.mark.parametrize(
    ("field", "value"), [("currency", "EUR"), ("currency", "usd"), ("operation", "credit"), ("funding", "postpaid")]
)
def test_other_currencies_operations_and_accounts_are_refused_by_name(field: str, value: str) -> None:
    request = AdjustBalanceRequest(amount="1", operation="CREDIT")
    setattr(request, field, value)

    with pytest.raises(InvalidArgumentError) as refusal:
        validation.validate(request)

    assert [row.field for row in refusal.value.fields] == [field]


async def test_a_debit_below_the_floor_is_refused_whole(service: BillingService, books: Books) -> None:
    org_id = await books.organization()
    target = ids.to_text(ids.ORGANIZATION, org_id)
    await adjust(service, books, AdjustBalanceRequest(amount="1", operation="CREDIT", organization_id=target))
    await books.hold(org_id, 400_000_000)

    with pytest.raises(BelowFloorError) as refusal:
        await adjust(service, books, AdjustBalanceRequest(amount="0.7", operation="DEBIT", organization_id=target))

    assert refusal.value.metadata == {"available": "0.6", "currency": "USD"}
    assert (await books.balance(org_id)).posted == 1_000_000_000
    assert await books.count("audit_entry") == 1
    with pytest.raises(BelowFloorError):
        await adjust(
            service,
            books,
            AdjustBalanceRequest(amount="1", operation="DEBIT", funding="promo", organization_id=target),
        )
    await books.assert_right()


async def test_promo_credit_has_an_account_of_its_own(service: BillingService, books: Books) -> None:
    org_id = await books.organization()
    target = ids.to_text(ids.ORGANIZATION, org_id)

    for amount in ("2", "3"):
        await adjust(
            service,
            books,
            AdjustBalanceRequest(amount=amount, operation="CREDIT", funding="promo", organization_id=target),
        )
    debit = await adjust(
        service, books, AdjustBalanceRequest(amount="1", operation="DEBIT", funding="promo", organization_id=target)
    )

    assert [(row.kind, row.posted) for row in debit.balance.funding] == [("promo", "4"), ("wallet", "0")]


@pytest.mark.parametrize("unknown", ["org_", "org_00000000000000000000000000", "x", "key_00000000000000000000000001"])
async def test_an_unknown_organization_is_not_found(service: BillingService, books: Books, unknown: str) -> None:
    with pytest.raises(NotFoundError) as refusal:
        await adjust(service, books, AdjustBalanceRequest(amount="1", operation="CREDIT", organization_id=unknown))

    assert refusal.value.public == "No such organization."


async def test_a_transfer_key_moves_money_once(service: BillingService, books: Books) -> None:
    org_id = await books.organization()
    target = ids.to_text(ids.ORGANIZATION, org_id)
    request = AdjustBalanceRequest(amount="5", operation="CREDIT", organization_id=target, transfer_key="invoice 7")

    answers = await asyncio.gather(*(adjust(service, books, request) for _ in range(10)))

    assert len({answer.transaction.id for answer in answers}) == 1
    assert (await books.balance(org_id)).posted == 5_000_000_000
    for field, value in (("amount", "6"), ("operation", "DEBIT"), ("description", "other"), ("funding", "promo")):
        other = AdjustBalanceRequest()
        other.CopyFrom(request)
        setattr(other, field, value)
        with pytest.raises((TransferMismatchError, BelowFloorError)) as refusal:
            await adjust(service, books, other)
        assert refusal.value.reason_name == "TRANSFER_MISMATCH"
    assert (await books.balance(org_id)).posted == 5_000_000_000
    await books.assert_right()


async def test_the_statement_lists_every_movement_and_sums_to_the_balance(
    service: BillingService, books: Books
) -> None:
    org_id = await books.organization(promo=10_000)
    target = ids.to_text(ids.ORGANIZATION, org_id)
    await adjust(service, books, AdjustBalanceRequest(amount="0.000009", operation="CREDIT", organization_id=target))
    calls = [await books.hold(org_id, 600) for _ in range(5)]
    for number, (call_id, hold) in enumerate(calls):
        await books.settle(hold, call_id, TokenCounts(input=number * 200))

    context = context_of(org_id, LIST)
    rows: list[Transaction] = []
    token = ""
    while True:
        page = await service.list_transactions(ListTransactionsRequest(page_size=2, page_token=token), context)
        rows += page.transactions
        token = page.next_page_token
        if not token:
            break

    signed = [(1 if row.direction == "CREDIT" else -1) * round(float(row.amount) * 1e9) for row in rows]
    balance = await service.get_balance(GetBalanceRequest(), context)
    assert sum(signed) == round(float(balance.balance) * 1e9) == 10_000 + 9_000 - (200 + 400 + 600 + 600)
    assert [row.kind for row in rows] == ["usage"] * 4 + ["adjustment", "promo"]
    assert {row.usage_event_id for row in rows[:4]} == {
        ids.to_text(ids.USAGE_EVENT, call_id) for call_id, _ in calls[1:]
    }
    assert len({row.id for row in rows}) == 6
    await books.assert_right()


async def test_the_statement_is_bound_to_its_span_and_to_its_organization(
    service: BillingService, books: Books
) -> None:
    org_id, other = await books.organization(promo=10), await books.organization()
    await books.promo(org_id, 20)
    context = context_of(org_id, LIST)
    first = await service.list_transactions(ListTransactionsRequest(page_size=1), context)

    later = ListTransactionsRequest(page_size=1, page_token=first.next_page_token)
    later.start_time.FromJsonString("2020-01-01T00:00:00Z")
    same = ListTransactionsRequest(page_token=first.next_page_token)
    for request, caller in ((later, context), (same, context_of(other, LIST))):
        with pytest.raises(InvalidPageTokenError):
            await service.list_transactions(request, caller)
    past = ListTransactionsRequest()
    past.end_time.FromJsonString("2020-01-01T00:00:00Z")
    assert list((await service.list_transactions(past, context)).transactions) == []
    assert (
        list((await service.list_transactions(ListTransactionsRequest(), context_of(other, LIST))).transactions) == []
    )
    impossible = ListTransactionsRequest()
    impossible.start_time.seconds = 2**62
    with pytest.raises(ApiError, match="start_time"):
        await service.list_transactions(impossible, context)


async def test_a_grant_happens_once(books: Books) -> None:
    org_id = await books.organization()

    first = await books.promo(org_id, 100, key="first start")
    again = await books.promo(org_id, 100, key="first start")

    assert first == again
    assert (await books.balance(org_id)).posted == 100
