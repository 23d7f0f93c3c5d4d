"""`tollbridge bridge --descriptors` as a process, and what stops its start with a sentence."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from bridge.foreign.policy import ForeignOptions
from bridge.target import TargetError
from cli.bridge_process import BridgeOptions, serve
from cli.foreign_options import Foreign, foreign_service
from cli.process import StartError
from tests.foreign.service import backend_of, compile_protos, own_image, serving

_ROOT = Path(__file__).parent.parent.parent
_START_SECONDS = 30.0
_HEAD = """syntax = "proto3";
package given.v1;
import "google/api/annotations.proto";
message Part { string id = 1; }
message Request { string id = 1; Part part = 2; repeated Part parts = 3; repeated string texts = 4;
  map<string, string> words = 5; }
message Answer { string id = 1; }
service GivenService {
"""


def _image(*rules: str) -> bytes:
    methods = [
        f"rpc Do{number}(Request) returns (Answer) {{ option (google.api.http) = {{ {rule} }}; }}"
        for number, rule in enumerate(rules)
    ]
    return compile_protos({"given/given.proto": _HEAD + "\n".join(methods) + "\n}\n"})


@asynccontextmanager
async def _running(*arguments: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The bridge as a process; its address once it serves, and the process, which is ended by SIGTERM."""
    environment = {name: value for name, value in os.environ.items() if name not in ("HOST", "PORT", "ENVIRONMENT")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cli", "bridge", "--http-port", "0", *arguments),
        cwd=_ROOT,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_SECONDS):
            line = b""
            while b'"serving"' not in line:
                line = await process.stdout.readline()
                assert line, "the bridge ended before it served"
        yield json.loads(line)["http"], process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_START_SECONDS):
            await process.communicate()


async def test_a_process_serves_a_foreign_server(tmp_path: Path) -> None:
    image = tmp_path / "image.binpb"
    image.write_bytes(own_image())
    async with backend_of(own_image()) as backend:
        target = f"127.0.0.1:{backend.port}"
        arguments = ("--target", target, "--descriptors", str(image), "--preserve-proto-field-names")
        async with _running(*arguments) as (url, process), aiohttp.ClientSession() as client:
            async with client.post(f"{url}/v1/items", data=b'{"stringValue":"a"}') as response:
                assert (response.status, await response.text()) == (200, '{"string_value":"a"}')
            async with client.get(f"{url}/health") as response:
                assert response.status == 404
        assert process.returncode == 0


async def _refusal(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cli", "bridge", "--http-port", "0", *arguments),
        cwd=_ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_START_SECONDS):
        text, _ = await process.communicate()
    assert process.returncode in (1, 2), text
    return text.decode()


async def test_a_refusal_of_the_process_is_one_sentence(tmp_path: Path) -> None:
    image = tmp_path / "image.binpb"
    image.write_bytes(_image('get: "/v1/{id}"', 'get: "/v1/{part.id}"'))
    with socket.create_server(("127.0.0.1", 0)) as unused:
        target = f"127.0.0.1:{unused.getsockname()[1]}"
        conflict = await _refusal("--target", target, "--descriptors", str(image))
        useless = await _refusal("--target", target, "--auth")
    assert conflict == (
        f"tollbridge: --descriptors {image}: given.v1.GivenService.Do0 of given/given.proto (/v1/{{id}}) and "
        "given.v1.GivenService.Do1 of given/given.proto (/v1/{part.id}) both claim GET of the same path.\n"
    )
    assert useless.startswith("tollbridge: --auth, ")


def _options(image: Path, target: str, foreign: ForeignOptions | None = None) -> BridgeOptions:
    return BridgeOptions(
        target=target,
        host="127.0.0.1",
        http_port=0,
        trusted_proxies=(),
        tls_cert=None,
        tls_key=None,
        insecure=False,
        production=False,
        target_tls=False,
        target_ca=None,
        target_name="",
        client_cert=None,
        client_key=None,
        bridge_secret=None,
        ready_file=None,
        cors_origins=(),
        aliases=(),
        drain_seconds=0.1,
        shed_after_seconds=0.0,
        version="0",
        new_request_id=lambda: "req_1",
        foreign=Foreign(image, foreign or ForeignOptions()),
    )


_PLAIN = _HEAD + "rpc Do(Request) returns (Answer); }"


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (b"", "this is no FileDescriptorSet"),
        (b'syntax = "proto3";', "this is no FileDescriptorSet"),
        (b"{}", "this is no FileDescriptorSet"),
        (compile_protos({"given/given.proto": _PLAIN}), "1 method and no google.api.http rule"),
        (
            compile_protos({"given/given.proto": _PLAIN}, imports=False),
            "given/given.proto imports google/api/annotations.proto, which is not in the image.",
        ),
        (_image('get: "/v1/{nope}"'), "given/given.proto: given.v1.GivenService.Do0: path '/v1/{nope}' names 'nope'"),
        (_image('get: "/v1/{parts.id}"'), "path '/v1/{parts.id}': 'parts.id' goes through the repeated field 'parts'"),
        (_image('get: "/v1/{parts}"'), "'parts' goes through the repeated field 'parts'"),
        (_image('get: "/v1/{words}"'), "'words' goes through the repeated field 'words'"),
        (_image('get: "/v1/{part}"'), "'part' is a message, which a path cannot carry"),
        (_image('get: "/v1/{id=**}/x"'), "'**' must be the last segment"),
        (_image('get: "/v1/{id"'), "expected '}' at position 7"),
        (
            _image('get: "/v1/y" additional_bindings {post: "/v1/x" body: "nope"}'),
            "given.v1.GivenService.Do0: POST '/v1/x': body names 'nope', which given.v1.Request does not have",
        ),
        (_image('get: "/v1/x" response_body: "nope"'), "GET '/v1/x': response_body names 'nope'"),
        (_image('post: "/v1/x" body: "part.id"'), "body names 'part.id'"),
        (_image("additional_bindings {}"), "its HTTP rule has no path"),
        (
            _image('get: "/v1/x" additional_bindings {get: "/v1/z" additional_bindings {get: "/v1/y"}}'),
            "additional_bindings do not nest",
        ),
    ],
)
async def test_descriptors_that_cannot_be_served_stop_the_start(tmp_path: Path, image: bytes, problem: str) -> None:
    path = tmp_path / "image.binpb"
    path.write_bytes(image)
    with pytest.raises(StartError) as caught:
        await serve(_options(path, "127.0.0.1:1"), asyncio.Event())
    assert str(caught.value).startswith(f"--descriptors {path}: ")
    assert problem in str(caught.value)


async def test_descriptors_that_are_not_there_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await serve(_options(tmp_path / "none.binpb", "127.0.0.1:1"), asyncio.Event())


async def test_a_service_without_rules_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "image.binpb"
    path.write_bytes(own_image())
    wanted = ForeignOptions(services=frozenset({"foreign.workshop.v1.Nope"}))
    with pytest.raises(StartError, match=r"foreign\.workshop\.v1\.Nope: no service of this name .*ShelfService"):
        await serve(_options(path, "127.0.0.1:1", wanted), asyncio.Event())


async def test_a_target_that_is_no_grpc_server_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "image.binpb"
    path.write_bytes(own_image())

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with other:
        options = _options(path, f"127.0.0.1:{other.sockets[0].getsockname()[1]}")
        with pytest.raises(TargetError, match="no gRPC server"):
            await serve(replace(options, drain_seconds=0.1), asyncio.Event())


def test_aliases_of_the_platform_do_not_go_with_descriptors() -> None:
    with pytest.raises(StartError, match="--aliases"):
        foreign_service(
            Path("x"),
            auth=False,
            services=None,
            ignore_unknown=False,
            proto_names=False,
            zeros=False,
            enum_numbers=False,
            pages=None,
            aliases="lynxa",
        )


@pytest.mark.parametrize("pages", ["x", "/a/*", "/{x}"])
def test_a_prefix_that_is_no_path_is_refused(pages: str) -> None:
    with pytest.raises(StartError, match="--pages"):
        foreign_service(
            Path("x"),
            auth=False,
            services=None,
            ignore_unknown=False,
            proto_names=False,
            zeros=False,
            enum_numbers=False,
            pages=pages,
        )


async def test_files_in_any_order_and_twice_are_read() -> None:
    files = FileDescriptorSet.FromString(own_image())
    shuffled = FileDescriptorSet(file=[*reversed(files.file), *files.file])
    async with serving(image=shuffled.SerializeToString()) as served:
        assert (await served.json("GET", "/v1/items/a"))[0] == 200
