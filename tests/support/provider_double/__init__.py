"""An OpenAI-compatible provider on a real socket that does what a test tells it and remembers what it did.

    async with ProviderDouble() as provider:
        provider.next(Script(tokens=50, interval=0.05))
        ...                                   # call the product, whose provider has the base URL provider.url
        request = provider.requests[0]
        await request.wait_closed()
        assert request.closed_by is Party.CLIENT
        assert len(request.tokens) < 50

What a request gets: what `choose` says of its body, else the first script queued by `next`, else the one set for its
model by `when`, else the default.
"""

from tests.support.provider_double.record import Party, Request
from tests.support.provider_double.script import Ending, Opening, Refusal, Script, ToolCall, Usage
from tests.support.provider_double.server import ProviderDouble

__all__ = ["Ending", "Opening", "Party", "ProviderDouble", "Refusal", "Request", "Script", "ToolCall", "Usage"]
