"""Every RPC and field says what it must, where the contract is read from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest
from google.api import annotations_pb2, resource_pb2
from google.protobuf import descriptor_pool

from server.rpc.access import PLATFORM_PERMISSIONS, ROLE_PERMISSIONS, SCOPE_PERMISSIONS, rule_of
from tests.contract.descriptors import MODULES, Field, Rpc, fields, rpcs
from tollbridge.options.v1 import options_pb2

RPCS: Final = {rpc.name: rpc for rpc in rpcs()}
FIELDS: Final = {field.name: field for field in fields()}

WITHOUT_BINDING: Final[Mapping[str, str]] = {
    "tollbridge.chat.v1.ChatService/CreateChatCompletion": "typed callers; REST has POST /v1/chat/completions",
    "tollbridge.chat.v1.ChatService/StreamChatCompletion": "typed callers; REST has POST /v1/chat/completions",
}
"""RPCs that are not served over HTTP, and why."""

SECRET_NAMES: Final = ("password", "secret", "token")
NOT_SECRET: Final = {"token_type", "page_token", "next_page_token", "password_change_required"}


def test_the_image_holds_every_service() -> None:
    assert len(MODULES) == len({name.split("/")[0] for name in RPCS}) == 11


@pytest.mark.parametrize("rpc", RPCS.values(), ids=RPCS)
def test_every_rpc_declares_access_and_idempotency(rpc: Rpc) -> None:
    service, _, name = rpc.name.partition("/")
    rule = rule_of(descriptor_pool.Default().FindServiceByName(service).methods_by_name[name])
    assert rule is not None
    assert rpc.method.options.Extensions[options_pb2.idempotency] != options_pb2.IDEMPOTENCY_UNSPECIFIED


@pytest.mark.parametrize("rpc", RPCS.values(), ids=RPCS)
def test_every_permission_is_granted_by_somebody(rpc: Rpc) -> None:
    access = rpc.method.options.Extensions[options_pb2.access]
    if not access.permission:
        return
    roles = frozenset().union(*ROLE_PERMISSIONS.values())
    granted = PLATFORM_PERMISSIONS if access.platform else roles
    assert access.permission in granted
    if options_pb2.PRINCIPAL_API_KEY in access.principals:
        assert access.permission in frozenset().union(*SCOPE_PERMISSIONS.values())


@pytest.mark.parametrize("rpc", RPCS.values(), ids=RPCS)
def test_every_rpc_has_a_binding_or_a_reason(rpc: Rpc) -> None:
    bound = rpc.method.options.HasExtension(annotations_pb2.http)
    assert bound != (rpc.name in WITHOUT_BINDING)


@pytest.mark.parametrize("rpc", RPCS.values(), ids=RPCS)
def test_reads_are_not_audited_and_changes_are(rpc: Rpc) -> None:
    options = rpc.method.options
    safe = options.Extensions[options_pb2.idempotency] == options_pb2.IDEMPOTENCY_SAFE
    audited = bool(options.Extensions[options_pb2.audit])
    metered = options.Extensions[options_pb2.admission] == options_pb2.ADMISSION_HANDLER
    refreshes = rpc.name.endswith("/Refresh")
    assert audited == (not safe and not metered and not refreshes)


@pytest.mark.parametrize("rpc", RPCS.values(), ids=RPCS)
def test_what_makes_something_answers_201(rpc: Rpc) -> None:
    verb = rpc.name.partition("/")[2]
    expected = 201 if verb == "Register" or (verb.startswith("Create") and rpc.name not in WITHOUT_BINDING) else 0
    assert rpc.method.options.Extensions[options_pb2.http_success] == expected


def test_every_rpc_and_field_has_a_sentence() -> None:
    documented: list[Rpc | Field] = [*RPCS.values(), *FIELDS.values()]
    silent = [row.name for row in documented if not row.comment.endswith((".", '"', ")", "…"))]
    assert silent == []


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_secrets_are_marked(field: Field) -> None:
    name = field.field.name
    if (
        name in NOT_SECRET
        or not any(word in name for word in SECRET_NAMES)
        or field.field.type != field.field.TYPE_STRING
    ):
        return
    assert field.field.options.debug_redact, f"{field.name} is not marked debug_redact"


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_ids_say_what_they_refer_to(field: Field) -> None:
    """The isolation matrix is made from these references."""
    if not field.field.name.endswith("_id") or field.name in WITHOUT_REFERENCE:
        return
    assert field.field.options.HasExtension(resource_pb2.resource_reference), field.name


WITHOUT_REFERENCE: Final = {
    "tollbridge.chat.v1.ChatMessage.tool_call_id",
    "tollbridge.chat.v1.Outcome.plan_id",
    "tollbridge.limits.v1.GetLimitsResponse.plan_id",
    "tollbridge.origin.v1.Origin.request_id",
    "tollbridge.plans.v1.AssignPlanRequest.plan_id",
    "tollbridge.plans.v1.ComparePlansResponse.current_plan_id",
    "tollbridge.plans.v1.ComparedPlan.previous_plan_id",
    "tollbridge.plans.v1.LimitValue.plan_id",
    "tollbridge.plans.v1.ListPlansResponse.current_plan_id",
    "tollbridge.usage.v1.GetCurrentUsageResponse.plan_id",
    "tollbridge.usage.v1.UsageEvent.provider_call_id",
    "tollbridge.usage.v1.UsageEvent.request_id",
}
"""Ids that belong to no tenant: names of plans, a provider's ids, a caller's own ids."""
