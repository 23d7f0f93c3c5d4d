# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.chat.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.chat.v1 import (
    ChatChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatMessage,
    ChunkChoice,
    CompletionTokensDetails,
    CompletionUsage,
    ContentPart,
    CreateChatCompletionRequest,
    Cut,
    FunctionCall,
    Outcome,
    PromptTokensDetails,
    ToolCall,
)

__all__ = [
    "ChatChoice",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatMessage",
    "ChunkChoice",
    "CompletionTokensDetails",
    "CompletionUsage",
    "ContentPart",
    "CreateChatCompletionRequest",
    "Cut",
    "FunctionCall",
    "Outcome",
    "PromptTokensDetails",
    "ToolCall",
]
