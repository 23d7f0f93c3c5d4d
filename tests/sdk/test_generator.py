"""The SDK's generated half follows from the protos alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.text_format import Parse

from tests.contract.descriptors import IMAGE
from tollbridge.options.v1 import options_pb2
from tollbridge_sdk._generated.aio import AsyncServices
from tollbridge_sdk._generated.methods import METHODS
from tollbridge_sdk._generated.sync import Services
from tollbridge_sdk.messages.auth import LoginRequest, SessionTokens
from tollbridge_sdk.methods import Idempotency
from tools.programs import environment
from tools.sdk.names import Service, capability
from tools.sdk.plugin import answer, generated_modules
from tools.sdk.trim import public_packages, trimmed

FILES: Final = list(FileDescriptorSet.FromString(IMAGE.read_bytes()).file)

MADE_UP: Final = """
name: "tollbridge/tolls/v1/toll.proto" package: "tollbridge.tolls.v1" syntax: "proto3"
message_type { name: "FindTollsRequest" field { name: "page_token" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type {
  name: "FindTollsResponse"
  field { name: "tolls" number: 1 type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".tollbridge.tolls.v1.Toll" }
  field { name: "next_page_token" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type { name: "Toll" field { name: "id" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } }
service {
  name: "TollService"
  method {
    name: "FindTolls" input_type: ".tollbridge.tolls.v1.FindTollsRequest"
    output_type: ".tollbridge.tolls.v1.FindTollsResponse"
  }
  method {
    name: "WatchToll" input_type: ".tollbridge.tolls.v1.Toll" output_type: ".tollbridge.tolls.v1.Toll"
    server_streaming: true
  }
}
source_code_info { location { path: [6, 0, 2, 1] span: [1, 1, 1] leading_comments: " Says \\"no\\".\\n" } }
"""


@pytest.fixture(scope="module", autouse=True)
def programs() -> Iterator[None]:
    """The formatter is found as `./run` finds it, however the tests were started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", environment()["PATH"])
        yield


@pytest.fixture(scope="module")
def made(programs: None) -> dict[str, str]:
    """The modules of the real protos, and of a capability that does not exist."""
    file = Parse(MADE_UP, FileDescriptorProto())
    find, watch = file.service[0].method
    find.options.Extensions[options_pb2.idempotency] = options_pb2.IDEMPOTENCY_SAFE
    watch.options.Extensions[options_pb2.idempotency] = options_pb2.IDEMPOTENCY_KEYED
    watch.options.Extensions[options_pb2.admission] = options_pb2.ADMISSION_HANDLER
    errors = [row for row in FILES if row.package in {"tollbridge.errors.v1", "google.protobuf", "google.rpc"}]
    return generated_modules([*errors, file])


def test_a_new_capability_gets_its_classes_in_both_clients(made: dict[str, str]) -> None:
    for folder, name in (("aio", "AsyncTolls"), ("sync", "Tolls")):
        assert f"class {name}(" in made[f"_generated/{folder}/tolls.py"]
        assert f"self.tolls = {name}(calls)" in made[f"_generated/{folder}/__init__.py"]
        for path in (f"_generated/{folder}/tolls.py", "messages/tolls.py"):
            compile(made[path], path, "exec")


def test_a_method_is_typed_by_its_messages_and_options(made: dict[str, str]) -> None:
    text = " ".join(made["_generated/aio/tolls.py"].split())
    assert "request: tolls.Toll, **options: Unpack[KeyedCallOptions] ) -> StreamCall[tolls.Toll]:" in text.replace(
        ", **options: Unpack[KeyedCallOptions]) ->", ", **options: Unpack[KeyedCallOptions] ) ->"
    )
    assert '"""Says "no"."""' in text
    assert (
        'Method("tollbridge.tolls.v1.TollService", "WatchToll", Idempotency.KEYED, runs_model=True, streams=True'
        in " ".join(made["_generated/methods.py"].replace("(\n    ", "(").split())
    )


def test_a_paged_method_gets_an_iterator_whatever_it_is_called(made: dict[str, str]) -> None:
    text = " ".join(made["_generated/sync/tolls.py"].split())
    assert "def find_tolls_all(" in text
    assert "-> Iterator[toll_pb2.Toll]:" in text
    assert "request: toll_pb2.FindTollsRequest | None = None" in text


def test_every_method_with_messages_of_its_own_can_be_called() -> None:
    served = {
        f"/{file.package}.{service.name}/{method.name}"
        for file in FILES
        for service in file.service
        for method in service.method
        if file.package.startswith("tollbridge.") and not method.output_type.endswith("HttpBody")
    }
    assert {method.path for method in METHODS} == served


def test_what_a_method_says_of_itself_is_what_its_options_say() -> None:
    by_path = {method.path.rpartition(".")[2]: method for method in METHODS}
    assert by_path["KeyService/CreateKey"].idempotency is Idempotency.KEYED
    assert by_path["KeyService/ListKeys"].idempotency is Idempotency.SAFE
    assert by_path["AuthService/Login"].idempotency is Idempotency.NONE
    assert by_path["AuthService/Login"].anonymous
    assert not by_path["AuthService/Logout"].anonymous
    assert by_path["ChatService/StreamChatCompletion"].runs_model
    assert not by_path["KeyService/CreateKey"].runs_model


def test_both_clients_have_the_same_services_and_methods() -> None:
    names = [
        {
            f"{service}.{method}"
            for service, found in vars(client(None)).items()  # type: ignore[arg-type]
            for method in dir(found)
            if not method.startswith("_")
        }
        for client in (AsyncServices, _Unconnected)
    ]
    assert names[0] == names[1]
    assert {"keys.create_key", "keys.list_all_keys", "chat.stream_chat_completion"} <= names[0]


class _Unconnected(Services):
    """The synchronous services without a channel."""

    def __init__(self, calls: None) -> None:
        super().__init__(_NoCalls())  # type: ignore[arg-type]


class _NoCalls:
    class channel:  # noqa: N801
        @staticmethod
        def unary_unary(*_: object, **__: object) -> None:
            return None

        unary_stream = unary_unary


def test_callers_meet_no_package_of_the_servers_own() -> None:
    public = public_packages(FILES)
    assert {"tollbridge.chat.v1", "tollbridge.usage.v1", "tollbridge.errors.v1"} <= public
    assert not any("options" in package or "paging" in package or "origin" in package for package in public)
    kept = {file.name: file for file in trimmed(FILES)}
    errors = kept["tollbridge/errors/v1/error_reason.proto"]
    assert [message.name for message in errors.message_type] == []
    assert errors.enum_type[0].value[1].name == "ERROR_REASON_INTERNAL"


def test_comments_stay_with_their_messages_when_one_before_them_goes() -> None:
    file = Parse(MADE_UP, FileDescriptorProto())
    foreign = file.message_type[0].field.add(name="http", number=9, type_name=".google.api.Http")
    foreign.type = foreign.TYPE_MESSAGE
    del file.source_code_info.location[:]
    for position in range(3):
        file.source_code_info.location.add(path=[4, position], span=[1, 1, 1], leading_comments=f"{position}")
    found = trimmed([file])[0]
    assert [message.name for message in found.message_type] == ["FindTollsResponse", "Toll"]
    assert [(list(row.path), row.leading_comments) for row in found.source_code_info.location] == [
        ([4, 0], "1"),
        ([4, 1], "2"),
    ]


def test_secrets_are_not_printed() -> None:
    login = LoginRequest(email="ada@example.com", password="correct horse")
    assert repr(login) == "LoginRequest(email='ada@example.com', password='…')"
    assert login.password == "correct horse"
    assert "eyJ" not in repr(SessionTokens(access_token="eyJ", refresh_token="", expires_in=3))
    assert "refresh_token" not in repr(SessionTokens(access_token="eyJ"))


@pytest.mark.parametrize(
    ("package", "service", "attribute"),
    [
        ("tollbridge.keys.v1", "KeyService", "keys"),
        ("tollbridge.usage.v1", "UsageService", "usage"),
        ("tollbridge.models.v1", "ProfileService", "profiles"),
        ("tollbridge.chat.v1", "ToolRunService", "tool_runs"),
    ],
)
def test_services_are_called_by_their_capability_or_their_own_name(package: str, service: str, attribute: str) -> None:
    file = FileDescriptorProto(package=package)
    file.service.add(name=service)
    assert Service(file, 0).attribute == attribute


def test_a_second_version_is_not_mixed_with_the_first() -> None:
    with pytest.raises(ValueError, match=r"keys\.v2"):
        capability("tollbridge.keys.v2")


def test_the_plugin_answers_as_protoc_asks() -> None:
    made = answer(CodeGeneratorRequest(proto_file=FILES))
    assert made.supported_features == 3
    assert "_generated/methods.py" in {file.name for file in made.file}
