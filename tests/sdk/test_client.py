"""The synchronous client over grpcio-testing's channel: the test plays the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

import grpc
import grpc_testing
import pytest

from server.models.errors import ModelNotFoundError as ServersModelNotFoundError
from tollbridge.chat.v1 import chat_pb2, chat_service_pb2
from tollbridge.keys.v1 import key_pb2, key_service_pb2
from tollbridge_sdk import Client, Details, InsufficientFundsError, ModelNotFoundError
from tollbridge_sdk.errors import Failure, error_of

SECONDS: Final = 10.0
SERVICES = [
    chat_service_pb2.DESCRIPTOR.services_by_name["ChatService"],
    key_service_pb2.DESCRIPTOR.services_by_name["KeyService"],
]
CHAT, KEYS = SERVICES[0].methods_by_name, SERVICES[1].methods_by_name
OUTCOME = ("tollbridge-outcome-bin", chat_pb2.Outcome(cost="0.01").SerializeToString())
QUESTION = chat_service_pb2.CreateChatCompletionRequest(model="m")
OK = grpc.StatusCode.OK

Result = TypeVar("Result")


class Rehearsal:
    """A client in a thread of its own, and the channel on which its calls are taken."""

    def __init__(self) -> None:
        self.channel = grpc_testing.channel(SERVICES, grpc_testing.strict_real_time())
        self.client = Client("in.the.test:1", api_key="tb_own", channel=self.channel)
        self._threads = ThreadPoolExecutor(1)

    def start(self, call: Callable[[Client], Result]) -> Future[Result]:
        return self._threads.submit(call, self.client)

    def close(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def rehearsal() -> Iterator[Rehearsal]:
    found = Rehearsal()
    yield found
    found.close()


def take(rehearsal: Rehearsal, method: Any) -> tuple[dict[str, Any], Any, Any]:
    """Metadata, request and the rest of the next call of a method."""
    kind = rehearsal.channel.take_unary_stream if method.server_streaming else rehearsal.channel.take_unary_unary
    metadata, request, rpc = kind(method)
    rpc.send_initial_metadata((("x-request-id", "req_1"),))
    return dict(metadata), request, rpc


def test_a_call_carries_its_metadata_and_tells_its_outcome(rehearsal: Rehearsal) -> None:
    details = Details()
    answer = rehearsal.start(lambda client: client.chat.create_chat_completion(QUESTION, details=details))
    metadata, request, rpc = take(rehearsal, CHAT["CreateChatCompletion"])
    rpc.terminate(chat_pb2.ChatCompletion(id="c"), (OUTCOME,), OK, "")
    assert answer.result(SECONDS).id == "c"
    assert request == QUESTION
    assert metadata["authorization"] == "Bearer tb_own"
    assert metadata["idempotency-key"]
    assert details.outcome is not None
    assert (details.outcome.cost, details.request_id) == ("0.01", "req_1")


def test_a_failure_is_typed(rehearsal: Rehearsal) -> None:
    answer = rehearsal.start(lambda client: client.chat.create_chat_completion(QUESTION))
    _, _, rpc = take(rehearsal, CHAT["CreateChatCompletion"])
    status = ServersModelNotFoundError("m").to_status("req_1")
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    rpc.terminate(None, trailing, grpc.StatusCode.NOT_FOUND, status.message)
    with pytest.raises(ModelNotFoundError) as raised:
        answer.result(SECONDS)
    assert (raised.value.model, raised.value.request_id) == ("m", "req_1")


def test_a_stream_is_read_to_its_end(rehearsal: Rehearsal) -> None:
    def read(client: Client) -> tuple[list[str], str]:
        stream = client.chat.stream_chat_completion(QUESTION)
        names = [chunk.id for chunk in stream]
        assert stream.outcome is not None
        return names, stream.outcome.cost

    answer = rehearsal.start(read)
    _, _, rpc = take(rehearsal, CHAT["StreamChatCompletion"])
    for name in ("a", "b"):
        rpc.send_response(chat_pb2.ChatCompletionChunk(id=name))
    rpc.terminate((OUTCOME,), OK, "")
    assert answer.result(SECONDS) == (["a", "b"], "0.01")


def test_leaving_the_loop_ends_the_call(rehearsal: Rehearsal) -> None:
    def read(client: Client) -> object:
        stream = client.chat.stream_chat_completion(QUESTION)
        for _ in stream:
            break
        return stream

    answer = rehearsal.start(read)
    _, _, rpc = take(rehearsal, CHAT["StreamChatCompletion"])
    rpc.send_response(chat_pb2.ChatCompletionChunk())
    assert answer.result(SECONDS)
    rpc.cancelled()


def test_all_pages_are_read(rehearsal: Rehearsal) -> None:
    answer = rehearsal.start(lambda client: [key.id for key in client.keys.list_all_keys()])
    for token, after in (("", "next"), ("next", "")):
        metadata, request, rpc = take(rehearsal, KEYS["ListKeys"])
        assert request.page_token == token
        assert "idempotency-key" not in metadata
        keys = [key_pb2.Key(id=f"key_{token}")]
        rpc.terminate(key_service_pb2.ListKeysResponse(keys=keys, next_page_token=after), (), OK, "")
    assert answer.result(SECONDS) == ["key_", "key_next"]


def test_a_closed_client_says_so() -> None:
    client = Client("127.0.0.1:1")
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.keys.list_keys()


def test_an_amount_that_is_none_is_none() -> None:
    failure = Failure(grpc.StatusCode.FAILED_PRECONDITION, "", "BALANCE_INSUFFICIENT", {"required": "much"})
    found = error_of(failure)
    assert isinstance(found, InsufficientFundsError)
    assert found.required is None
    assert found.available is None
