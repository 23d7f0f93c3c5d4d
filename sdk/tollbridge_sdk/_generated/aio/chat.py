# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, StreamCall, UnaryCall
from tollbridge_sdk.messages import chat
from tollbridge_sdk.options import KeyedCallOptions


class AsyncChat(AsyncService):
    """Chat with models. Every call is metered, priced and paid for; the trailing metadata says what it came
    to (`Outcome`)."""

    def create_chat_completion(
        self, request: chat.CreateChatCompletionRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[chat.ChatCompletion]:
        """The same for internal services with typed stubs: one whole answer. Over gRPC only; REST has
        `ChatCompletions`."""
        return self._calls.unary(methods.CHAT_CREATE_CHAT_COMPLETION, request, chat.ChatCompletion, options)

    def stream_chat_completion(
        self, request: chat.CreateChatCompletionRequest, **options: Unpack[KeyedCallOptions]
    ) -> StreamCall[chat.ChatCompletionChunk]:
        """The same for internal services with typed stubs: pieces as they come, text that came together in
        one. Over gRPC only; REST has `ChatCompletions`."""
        return self._calls.stream(methods.CHAT_STREAM_CHAT_COMPLETION, request, chat.ChatCompletionChunk, options)
