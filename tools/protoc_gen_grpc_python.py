"""A protoc plugin: grpcio-tools' built-in Python service generator, callable by buf.

buf runs plugins as programs; grpcio-tools has its generator inside a module. This hands one to the other.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from grpc_tools import protoc


def generate(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Answers buf's request with one `_pb2_grpc.py` for each requested file that has services."""
    features = plugin_pb2.CodeGeneratorResponse
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=features.FEATURE_PROTO3_OPTIONAL | features.FEATURE_SUPPORTS_EDITIONS,
        minimum_edition=descriptor_pb2.EDITION_PROTO2,
        maximum_edition=descriptor_pb2.EDITION_2023,
    )
    with_services = {file.name for file in request.proto_file if file.service}
    targets = [name for name in request.file_to_generate if name in with_services]
    if not targets:
        return response
    with tempfile.TemporaryDirectory() as folder:
        descriptors = Path(folder, "in.binpb")
        descriptors.write_bytes(descriptor_pb2.FileDescriptorSet(file=request.proto_file).SerializeToString())
        out = Path(folder, "out")
        out.mkdir()
        options = f"{request.parameter}:" if request.parameter else ""
        status = protoc.main(
            ["protoc", f"--descriptor_set_in={descriptors}", f"--grpc_python_out={options}{out}", *targets]
        )
        if status:
            response.error = f"grpc_python exited with {status}"
        for path in sorted(out.rglob("*.py")):
            response.file.add(name=path.relative_to(out).as_posix(), content=path.read_text())
    return response


if __name__ == "__main__":
    asked = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(asked).SerializeToString())
