"""A gRPC server of services that are known by descriptors alone, and the bridge before it."""

from __future__ import annotations

import importlib.resources
import itertools
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import grpc
from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.message import Message
from grpc_tools import protoc

from bridge.app import Bridge
from bridge.catalog import Catalog, Method
from bridge.foreign.policy import ForeignOptions, foreign_policy
from bridge.grpc_caller import GrpcCaller
from bridge.settings import BridgeSettings
from bridge.target import Target

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
OWN_FILES = ("workshop.proto", "parts.proto", "shelves.proto")

Answer: TypeAlias = "Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]"


def compile_protos(files: dict[str, str], *, imports: bool = True, published: Sequence[str] = ()) -> bytes:
    """A descriptor image of proto files, given as `path: text`, as protoc writes it.

    `published` names files of googleapis-common-protos that are compiled with them.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        image = Path(folder) / "image.binpb"
        arguments = [
            "protoc",
            f"-I{folder}",
            f"-I{_ROOT / 'third_party'}",
            f"-I{importlib.resources.files('grpc_tools') / '_proto'}",
            f"--descriptor_set_out={image}",
            *(["--include_imports"] if imports else []),
            f"-I{Path(annotations_pb2.__file__).parents[2]}",
            *files,
            *published,
        ]
        if protoc.main(arguments) != 0:
            raise ValueError(f"{list(files)} do not compile.")
        return image.read_bytes()


@cache
def own_image() -> bytes:
    """The image of this folder's protos."""
    return compile_protos({f"foreign/{name}": (_HERE / name).read_text(encoding="utf-8") for name in OWN_FILES})


@dataclass
class Backend:
    """A grpc.aio server that serves every method of an image: as scripted, else it answers with the request's fields.

    It keeps what it was sent.
    """

    catalog: Catalog
    script: dict[str, Answer] = field(default_factory=dict)
    """By the method's short name. A streaming method's answer is an async generator function."""
    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    deadlines: list[float | None] = field(default_factory=list)
    port: int = 0

    def handler(self) -> grpc.GenericRpcHandler:
        """Serves the catalogue's methods."""
        methods = {method.rpc_path: method for method in self.catalog.methods}
        backend = self

        class _Handler(grpc.GenericRpcHandler):
            def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
                method = methods.get(handler_call_details.method)
                return None if method is None else backend._serve(method)

        return _Handler()

    def _serve(self, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        return make(
            self._streaming(method) if method.server_streaming else self._unary(method),
            request_deserializer=method.request_class.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _note(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata() or ()))
        self.deadlines.append(context.time_remaining())

    def _unary(self, method: Method) -> Any:
        async def answer(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
            self._note(request, context)
            scripted = self.script.get(method.full_name.rpartition(".")[2])
            if scripted is not None:
                result = await scripted(request, context)
                return method.response_class() if result is None else result
            return mirror(request, method.response_class())

        return answer

    def _streaming(self, method: Method) -> Any:
        async def answer(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Message]:
            self._note(request, context)
            async for message in self.script[method.full_name.rpartition(".")[2]](request, context):  # type: ignore[attr-defined]
                yield message

        return answer


def fields_of(message: Any) -> dict[str, Any]:
    """The fields that are set, by proto name."""
    pool = message.DESCRIPTOR.file.pool
    got: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool)
    return got


def mirror(request: Message, answer: Message) -> Message:
    """The answer with the request's content, where the two are of one type."""
    if request.DESCRIPTOR.full_name == answer.DESCRIPTOR.full_name:
        answer.MergeFromString(request.SerializeToString())
    return answer


@dataclass
class Served:
    """A bridge before a backend, and a client for it."""

    url: str
    backend: Backend
    client: aiohttp.ClientSession

    async def json(self, http_verb: str, path: str, body: str | bytes | None = None, **options: Any) -> tuple[int, Any]:
        """Status and JSON of one request."""
        data = body.encode() if isinstance(body, str) else body
        async with self.client.request(http_verb, self.url + path, data=data, **options) as response:
            return response.status, await response.json(content_type=None)

    async def sent(self, http_verb: str, path: str, body: str | bytes | None = None, **options: Any) -> dict[str, Any]:
        """What the server got for one request that succeeds, by proto name."""
        status, answer = await self.json(http_verb, path, body, **options)
        assert status == 200, answer
        return fields_of(self.backend.requests[-1])

    def message(self, name: str, text: str = "{}") -> Any:
        """A message of the server's, from its full name and JSON."""
        method = next(
            found for found in self.backend.catalog.methods if name in (found.input.full_name, found.output.full_name)
        )
        made = (method.request_class if method.input.full_name == name else method.response_class)()
        pool: Any = made.DESCRIPTOR.file.pool
        return json_format.Parse(text, made, descriptor_pool=pool)


@asynccontextmanager
async def backend_of(image: bytes, script: dict[str, Answer] | None = None) -> AsyncIterator[Backend]:
    """A server of the image's methods on a loopback port."""
    backend = Backend(Catalog.from_image(image, foreign=True), script or {})
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((backend.handler(),))
    backend.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield backend
    finally:
        await server.stop(None)


@asynccontextmanager
async def serving(
    script: dict[str, Answer] | None = None,
    options: ForeignOptions | None = None,
    settings: BridgeSettings | None = None,
    image: bytes | None = None,
) -> AsyncIterator[Served]:
    """The bridge in this process before a real server of this folder's protos."""
    async with backend_of(image or own_image(), script) as backend:
        catalog = Catalog.from_image(image or own_image(), foreign=True)
        caller = GrpcCaller(Target(f"127.0.0.1:{backend.port}", ours=False), catalog)
        numbers = itertools.count(1)
        bridge = Bridge(
            settings or BridgeSettings(),
            catalog,
            caller,
            new_request_id=lambda: f"req_{next(numbers)}",
            policy=foreign_policy(catalog, options or ForeignOptions()),
        )
        listening = socket.create_server(("127.0.0.1", 0))
        await bridge.start(listening)
        try:
            async with aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}) as client:
                yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", backend, client)
        finally:
            await bridge.stop(0.2)
            await caller.aclose()
