"""A bare proxy: aiohttp in front, aiohttp's client behind, no key, no metering. Its cost on a machine is the yardstick.

    python -m bench.baseline_proxy UPSTREAM_PORT …

Prints {"ports":[…]}, one for each upstream, once it listens on the loopback interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Final

import aiohttp
import uvloop
from aiohttp import web

MODELS: Final = json.dumps({"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model"}]}).encode()
UPSTREAM: Final = web.AppKey("upstream", str)
CLIENT: Final = web.AppKey("client", aiohttp.ClientSession)


async def list_models(_: web.Request) -> web.Response:
    """A fixed answer: what aiohttp costs without any work."""
    return web.Response(body=MODELS, content_type="application/json")


async def complete(request: web.Request) -> web.StreamResponse:
    """Passes a body on and the answer back; streams piece by piece."""
    body = await request.read()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer upstream"}
    async with request.app[CLIENT].post(request.app[UPSTREAM], data=body, headers=headers) as answer:
        if answer.content_type != "text/event-stream":
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        # The load leaves in the middle of streams when its time is over.
        with contextlib.suppress(ConnectionResetError):
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
        return response


async def listen(upstream_port: int, client: aiohttp.ClientSession) -> int:
    """Starts one proxy; returns its port."""
    app = web.Application(client_max_size=32 * 1024 * 1024)
    app[UPSTREAM] = f"http://127.0.0.1:{upstream_port}/v1/chat/completions"
    app[CLIENT] = client
    app.router.add_get("/v1/models", list_models)
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    return port


async def serve(upstream_ports: list[int]) -> None:
    """Serves until the process is ended."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        ports = [await listen(port, client) for port in upstream_ports]
        print(json.dumps({"ports": ports}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve([int(argument) for argument in sys.argv[1:]]))
