"""Reads a failed call's status: google.rpc.Status in the trailing metadata, with its details."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from tollbridge_sdk.errors import Failure, FieldViolation, QuotaViolation, TollbridgeError, error_of
from tollbridge_sdk.options import REQUEST_ID, Metadata, find

_DETAILS: Final = "grpc-status-details-bin"
_DOMAIN: Final = "tollbridge"


def pairs(metadata: Iterable[Any] | None) -> Metadata:
    """Metadata as gRPC has it, of either of its kinds, as a plain tuple."""
    return tuple((str(name), value) for name, value in metadata or ())


def error_from(code: grpc.StatusCode, message: str | None, trailing: Metadata) -> TollbridgeError:
    """The error of a call that ended with a status. Details that cannot be read are left out."""
    said, details = message or "", find(trailing, _DETAILS)
    try:
        status = status_pb2.Status.FromString(details if isinstance(details, bytes) else b"")
        return error_of(_failure(code, said, trailing, status))
    except DecodeError:
        return error_of(_failure(code, said, trailing, status_pb2.Status()))


def _failure(code: grpc.StatusCode, message: str, trailing: Metadata, status: Any) -> Failure:
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    quota, retry = error_details_pb2.QuotaFailure(), error_details_pb2.RetryInfo()
    request = error_details_pb2.RequestInfo()
    has_retry = False
    for detail in status.details:
        for known in (info, bad_request, quota, retry, request):
            if detail.Is(known.DESCRIPTOR):
                detail.Unpack(known)
        has_retry = has_retry or detail.Is(retry.DESCRIPTOR)
    return Failure(
        code=code,
        message=message,
        reason_name=info.reason if info.domain == _DOMAIN else "",
        metadata=dict(info.metadata),
        fields=tuple(FieldViolation(row.field, row.description) for row in bad_request.field_violations),
        quotas=tuple(QuotaViolation(row.subject, row.description) for row in quota.violations),
        retry_after=retry.retry_delay.ToMilliseconds() / 1000 if has_retry else None,
        request_id=request.request_id or str(find(trailing, REQUEST_ID) or ""),
        trailing_metadata=trailing,
    )
