"""Every reason of the contract becomes the right class with all its facts."""

from __future__ import annotations

from decimal import Decimal

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

import tollbridge_sdk
from server.rpc.errors import ApiError, FieldViolation, InvalidArgumentError, QuotaViolation, TooManyAttemptsError, rule
from tollbridge.errors.v1 import error_reason_pb2
from tollbridge_sdk import errors
from tollbridge_sdk.errors import BY_CODE, BY_REASON, TollbridgeError
from tollbridge_sdk.failures import error_from
from tollbridge_sdk.messages.errors import ErrorReason

CODES = {code.value[0]: code for code in grpc.StatusCode}
PREFIX = "ERROR_REASON_"
REASONS = [value.name.removeprefix(PREFIX) for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values]


class Sample(ApiError):
    """An error with every kind of fact."""

    reason = error_reason_pb2.ERROR_REASON_BALANCE_INSUFFICIENT


def received(sent: ApiError) -> TollbridgeError:
    """What the client makes of a server's error."""
    status = sent.to_status("req_1")
    return error_from(CODES[status.code], status.message, (("grpc-status-details-bin", status.SerializeToString()),))


@pytest.mark.parametrize("name", REASONS)
def test_every_reason_has_a_name_and_a_class_of_its_codes_family(name: str) -> None:
    value = error_reason_pb2.ErrorReason.Value(PREFIX + name)
    assert int(ErrorReason.from_string(name)) == value
    code = CODES[rule(value).grpc_code]
    sent = type("Sent", (ApiError,), {"reason": value})("said")
    found = received(sent)
    assert isinstance(found, BY_CODE[code])
    assert int(found.reason) == value
    assert found.code is code


def test_special_classes_stand_for_reasons_that_exist_and_are_exported() -> None:
    assert set(BY_REASON) <= set(REASONS)
    families = {*BY_CODE.values(), *BY_REASON.values()}
    assert {family.__name__ for family in families} <= set(tollbridge_sdk.__all__)
    assert set(CODES.values()) - set(BY_CODE) == {grpc.StatusCode.OK}


def test_all_facts_arrive() -> None:
    facts = {"required": "0.5", "available": "0.25", "currency": "USD"}
    fields = [FieldViolation("messages[0].role", "must not be empty")]
    sent = Sample("Not enough.", metadata=facts, fields=fields, quotas=[QuotaViolation("org", "all")], retry_after=1.5)
    found = received(sent)
    assert isinstance(found, errors.InsufficientFundsError)
    assert (found.required, found.available, found.currency) == (Decimal("0.5"), Decimal("0.25"), "USD")
    assert found.fields == (errors.FieldViolation("messages[0].role", "must not be empty"),)
    assert found.failure.quotas == (errors.QuotaViolation("org", "all"),)
    assert (found.retry_after, found.request_id, found.message) == (1.5, "req_1", "Not enough.")
    assert str(found) == ("Not enough.; messages[0].role: must not be empty [BALANCE_INSUFFICIENT] (request req_1)")


def test_what_was_not_said_is_none() -> None:
    assert received(InvalidArgumentError("No.")).retry_after is None
    assert received(TooManyAttemptsError(3)).retry_after == 3
    assert isinstance(received(TooManyAttemptsError(3)), errors.LimitedError)


def test_a_reason_newer_than_the_sdk_keeps_its_name_and_family() -> None:
    status = status_pb2.Status(code=5)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="BRAND_NEW", domain="tollbridge"))
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    found = error_from(grpc.StatusCode.NOT_FOUND, "Gone.", details)
    assert type(found) is errors.NotFoundError
    assert (found.reason, found.reason_name) == (ErrorReason.UNSPECIFIED, "BRAND_NEW")


@pytest.mark.parametrize("garbage", [b"\xff\xff", b"", b"\x1a\x02\x12\xff"])
def test_details_that_cannot_be_read_do_not_hide_the_failure(garbage: bytes) -> None:
    found = error_from(grpc.StatusCode.NOT_FOUND, "Gone.", (("grpc-status-details-bin", garbage),))
    assert type(found) is errors.NotFoundError
    assert found.reason is ErrorReason.UNSPECIFIED


def test_another_services_reason_is_not_taken_for_ours() -> None:
    status = status_pb2.Status(code=5)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="MODEL_NOT_FOUND", domain="elsewhere"))
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    assert type(error_from(grpc.StatusCode.NOT_FOUND, None, details)) is errors.NotFoundError
