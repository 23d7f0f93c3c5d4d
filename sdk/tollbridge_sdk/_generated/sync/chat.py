# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from typing import Any, Unpack

from tollbridge.chat.v1 import chat_pb2, chat_service_pb2, chat_service_pb2_grpc
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, KeyedUnaryOptions, Service, Stream
from tollbridge_sdk.options import KeyedCallOptions


class Chat(Service):
    """Chat with models. Every call is metered, priced and paid for; the trailing metadata says what it came
    to (`Outcome`)."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._stub: Any = chat_service_pb2_grpc.ChatServiceStub(calls.channel)

    def create_chat_completion(
        self, request: chat_service_pb2.CreateChatCompletionRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> chat_pb2.ChatCompletion:
        """The same for internal services with typed stubs: one whole answer. Over gRPC only; REST has
        `ChatCompletions`."""
        return self._calls.unary(
            self._stub.CreateChatCompletion,
            methods.CHAT_CREATE_CHAT_COMPLETION,
            request,
            chat_pb2.ChatCompletion,
            options,
        )

    def stream_chat_completion(
        self, request: chat_service_pb2.CreateChatCompletionRequest, **options: Unpack[KeyedCallOptions]
    ) -> Stream[chat_pb2.ChatCompletionChunk]:
        """The same for internal services with typed stubs: pieces as they come, text that came together in
        one. Over gRPC only; REST has `ChatCompletions`."""
        return self._calls.stream(
            self._stub.StreamChatCompletion,
            methods.CHAT_STREAM_CHAT_COMPLETION,
            request,
            chat_pb2.ChatCompletionChunk,
            options,
        )
