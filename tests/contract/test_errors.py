"""Every reason belongs to one error class, and has an example a client can code against."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterator

import server
from server.rpc.errors import ApiError, rule
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason

NOT_SENT = {"ERROR_REASON_UNSPECIFIED"}
# Domain texts for the log alone; see server.rpc.pipeline.
FOR_THE_LOG = {"_Left"}


def import_everything() -> None:
    for module in pkgutil.walk_packages(server.__path__, "server."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)


def classes(of: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    """The server's own; other tests make some for themselves."""
    for found in of.__subclasses__():
        if found.__module__.startswith("server.") and found.__name__ not in FOR_THE_LOG:
            yield found
        yield from classes(found)


def test_every_reason_has_exactly_one_class() -> None:
    import_everything()
    own = [found for found in classes() if "reason" in vars(found)]
    counted = Counter(ErrorReason.Name(found.reason) for found in own)
    assert {name: count for name, count in counted.items() if count != 1} == {}
    assert set(ErrorReason.keys()) - set(counted) == NOT_SENT


def test_every_reason_has_codes_on_both_wires() -> None:
    for name, number in ErrorReason.items():
        found = rule(number)
        assert found.grpc_code, name
        assert 400 <= found.http_status < 600, name
        assert found.type, name
        assert found.code, name


def test_what_only_money_heals_tells_sdks_not_to_retry() -> None:
    for name, number in ErrorReason.items():
        found = rule(number)
        if found.http_status in {402, 409} and name != "ERROR_REASON_CONFLICT":
            assert found.never_retry, name
