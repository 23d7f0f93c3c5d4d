"""A load generator of typed gRPC streams: `StreamChatCompletion`, each connection's next as soon as its last is over.

    python -m bench.grpc_streams --port P --keys FILE --connections C --tokens N --warm-up S --seconds S

Prints what bench/load/load.c prints. Its own CPU time is not measured; it only has to keep up.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import grpc.aio

from bench.generator import Load
from bench.percentiles import percentile
from bench.workload import MODEL, chat_bodies
from tollbridge.chat.v1 import chat_pb2, chat_service_pb2, chat_service_pb2_grpc

STREAMS_PER_CHANNEL: Final = 32
"""Well under the 100 concurrent streams that many HTTP/2 servers allow on a connection."""
TOKEN: Final = " token"
"""What the double says in every event."""


@dataclass(slots=True)
class Counters:
    """What happened within the measured time."""

    measuring: bool = False
    requests: int = 0
    errors: int = 0
    events: int = 0
    latencies: list[float] = field(default_factory=list)
    first_events: list[float] = field(default_factory=list)


def requests(tokens: int) -> list[chat_service_pb2.CreateChatCompletionRequest]:
    """The same conversations that the HTTP load sends."""
    prompts = [json.loads(body)["messages"][0]["content"] for body in chat_bodies(stream=True, max_tokens=tokens)]
    return [
        chat_service_pb2.CreateChatCompletionRequest(
            model=MODEL, messages=[chat_pb2.ChatMessage(role="user", content=prompt)], max_tokens=tokens
        )
        for prompt in prompts
    ]


def events_in(chunk: chat_pb2.ChatCompletionChunk) -> int:
    """How many of the double's events a message is made of: those that come together are one, and each is one token."""
    return max(1, sum(choice.delta.content.count(TOKEN) for choice in chunk.choices))


async def one_stream(
    stub: chat_service_pb2_grpc.ChatServiceStub,
    request: chat_service_pb2.CreateChatCompletionRequest,
    key: str,
    counters: Counters,
) -> None:
    """Reads one answer to its end and counts it."""
    started, counted, seen = time.perf_counter(), counters.measuring, False
    async for chunk in stub.StreamChatCompletion(request, metadata=(("authorization", f"Bearer {key}"),), timeout=60):
        if counters.measuring:
            counters.events += events_in(chunk)
            if counted and not seen:
                counters.first_events.append(time.perf_counter() - started)
        seen = True
    if counters.measuring:
        counters.requests += 1
        if counted:
            counters.latencies.append(time.perf_counter() - started)


async def load(options: argparse.Namespace, all_keys: list[str]) -> Load:
    """Runs warm-up and measured time. A stream that fails ends its connection's turns."""
    keys = itertools.cycle(all_keys)
    bodies = itertools.cycle(requests(options.tokens))
    counters = Counters()
    channels = [
        grpc.aio.insecure_channel(f"127.0.0.1:{options.port}", options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(-(-options.connections // STREAMS_PER_CHANNEL))
    ]
    stubs = itertools.cycle([chat_service_pb2_grpc.ChatServiceStub(channel) for channel in channels])

    async def one_after_the_other(stub: chat_service_pb2_grpc.ChatServiceStub) -> None:
        while True:
            try:
                await one_stream(stub, next(bodies), next(keys), counters)
            except grpc.aio.AioRpcError as error:
                counters.errors += 1
                print(f"grpc_streams: {error.code()}: {error.details()}", file=sys.stderr)
                return

    tasks = [asyncio.create_task(one_after_the_other(next(stubs))) for _ in range(options.connections)]
    await asyncio.sleep(options.warm_up)
    _announce("begin")
    counters.measuring, begun = True, time.perf_counter()
    await asyncio.sleep(options.seconds)
    _announce("end")
    counters.measuring, measured = False, time.perf_counter() - begun
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for channel in channels:
        await channel.close()
    return result(counters, options.connections, measured)


def result(counters: Counters, connections: int, seconds: float) -> Load:
    """The counters as the runner wants them."""
    return Load(
        connections=connections,
        seconds=seconds,
        requests=counters.requests,
        errors=counters.errors,
        reconnects=0,
        requests_per_second=counters.requests / seconds,
        events=counters.events,
        events_per_second=counters.events / seconds,
        body_bytes=0,
        latency_p50=_microseconds(counters.latencies, 50),
        latency_p99=_microseconds(counters.latencies, 99),
        latency_max=_microseconds(counters.latencies, 100),
        first_event_p50=_microseconds(counters.first_events, 50),
        first_event_p99=_microseconds(counters.first_events, 99),
    )


def _microseconds(seconds: list[float], percent: float) -> float:
    return round(percentile(seconds, percent) * 1e6)


def _announce(phase: str) -> None:
    print(json.dumps({"phase": phase}), flush=True)


def main() -> int:
    """Exits with 3 where a stream failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--keys", required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    loaded = asyncio.run(load(options, Path(options.keys).read_text().split()))
    print(json.dumps(asdict(loaded)))
    return 3 if loaded.errors else 0


if __name__ == "__main__":
    sys.exit(main())
