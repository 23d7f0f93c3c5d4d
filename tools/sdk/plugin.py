"""The protoc plugin itself. buf runs it over all protos at once (`strategy: all`); `out` is the SDK's package."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Mapping, Sequence

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from tools.sdk.messages import ROOT as MESSAGES
from tools.sdk.messages import message_modules
from tools.sdk.methods import HEADER, methods_module
from tools.sdk.names import Service
from tools.sdk.services import AIO, SYNC, ServiceWriter, index_module, messages_by_name
from tools.sdk.trim import public_packages


def generated_modules(files: Sequence[FileDescriptorProto]) -> dict[str, str]:
    """Every generated module of the SDK, by its path below the package."""
    public = public_packages(files)
    services = [Service(file, index) for file in files if file.package in public for index in range(len(file.service))]
    messages, places = messages_by_name(files)
    made = message_modules(files)
    made["_generated/__init__.py"] = f'{HEADER}"""What is made from the protos. Import it from nowhere else."""\n'
    made["_generated/methods.py"] = methods_module(services)
    for flavour in (AIO, SYNC):
        made[f"_generated/{flavour.folder}/__init__.py"] = index_module(flavour, services)
        for service in services:
            text = ServiceWriter(flavour, service, messages, places).module()
            made[f"_generated/{flavour.folder}/{service.attribute}.py"] = text
    return formatted(made)


def formatted(modules: Mapping[str, str]) -> dict[str, str]:
    """The modules with the imports that they use, in order, as ruff writes them; betterproto2's are so already.

    Raises CalledProcessError where one is no Python.
    """
    return {path: text if path.startswith(MESSAGES) else _formatted(text) for path, text in modules.items()}


def _formatted(text: str) -> str:
    for task in (["check", "--select", "F401,I", "--fix-only", "--quiet"], ["format"]):
        command = ["ruff", *task, "--no-cache", "--isolated", "--line-length", "120", "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return text


def answer(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Answers buf's request."""
    features = plugin_pb2.CodeGeneratorResponse
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=features.FEATURE_PROTO3_OPTIONAL | features.FEATURE_SUPPORTS_EDITIONS,
        minimum_edition=descriptor_pb2.EDITION_PROTO2,
        maximum_edition=descriptor_pb2.EDITION_2023,
    )
    for path, text in sorted(generated_modules(request.proto_file).items()):
        response.file.add(name=path, content=text)
    return response


def main() -> None:
    """Standard input to standard output, as protoc's plugins work. betterproto2's progress goes nowhere."""
    asked = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    with contextlib.redirect_stderr(io.StringIO()):
        made = answer(asked)
    sys.stdout.buffer.write(made.SerializeToString())


if __name__ == "__main__":
    main()
