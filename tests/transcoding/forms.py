"""The test protos, compiled once a process into a catalogue."""

from __future__ import annotations

import importlib.resources
import tempfile
from functools import cache
from pathlib import Path

from google.protobuf import message_factory
from google.protobuf.message import Message
from grpc_tools import protoc

from bridge.catalog import Catalog

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent


def compile_image(proto: Path) -> bytes:
    """A self-contained descriptor image of one proto file and the error reasons, comments included."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        arguments = [
            "protoc",
            f"-I{proto.parent}",
            f"-I{_ROOT / 'proto'}",
            f"-I{_ROOT / 'third_party'}",
            f"-I{importlib.resources.files('grpc_tools') / '_proto'}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={image}",
            str(proto),
            "tollbridge/errors/v1/error_reason.proto",
        ]
        if protoc.main(arguments) != 0:
            raise ValueError(f"{proto.name} does not compile.")
        return image.read_bytes()


def compile_text(text: str) -> bytes:
    """A descriptor image of one proto file that is given as text."""
    with tempfile.TemporaryDirectory() as folder:
        proto = Path(folder) / "given.proto"
        proto.write_text(text, encoding="utf-8")
        return compile_image(proto)


@cache
def forms_image() -> bytes:
    """The image of forms.proto."""
    return compile_image(_HERE / "forms.proto")


@cache
def forms_catalog() -> Catalog:
    """The catalogue of forms.proto."""
    return Catalog.from_image(forms_image())


def message_class(name: str) -> type[Message]:
    """A message class of forms.proto by its short name."""
    descriptor = forms_catalog().pool.FindMessageTypeByName(f"tests.forms.v1.{name}")
    return message_factory.GetMessageClass(descriptor)
