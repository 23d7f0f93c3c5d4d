"""Writes the messages: betterproto2's own output, and a module a capability that callers import them from."""

from __future__ import annotations

from collections.abc import Sequence

from betterproto2_compiler.lib.google.protobuf.compiler import CodeGeneratorRequest as Request
from betterproto2_compiler.plugin.parser import generate_code
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from tools.sdk.methods import HEADER
from tools.sdk.names import capability
from tools.sdk.trim import public_packages, trimmed

ROOT = "_generated/messages"
HIDE = "\nfrom tollbridge_sdk.redaction import hide\n"


def message_modules(files: Sequence[FileDescriptorProto]) -> dict[str, str]:
    """Paths below the package, and their texts."""
    kept = trimmed(files)
    request = CodeGeneratorRequest(proto_file=kept, parameter="client_generation=none")
    request.file_to_generate.extend(file.name for file in kept)
    made = generate_code(Request.parse(request.SerializeToString()))
    found = {f"{ROOT}/{file.name}": file.content for file in made.file if file.name != "py.typed"}
    # betterproto2 leaves out folders' own files in an order, and with contents, that depend on what is there.
    for path in [path for path in found if path.endswith("__init__.py") and not found[path]]:
        found[path] = HEADER
    found[f"{ROOT}/__init__.py"] = HEADER
    public = public_packages(files)
    for file in files:
        if file.package in public:
            path = f"{ROOT}/{file.package.replace('.', '/')}/__init__.py"
            hiding = "".join(_hiding(message) for message in file.message_type)
            if hiding and HIDE not in found[path]:
                found[path] = found[path].replace("import betterproto2\n", f"import betterproto2\n{HIDE}", 1)
            found[path] += hiding
    return found | _by_capability([file for file in kept if file.package in public])


def _hiding(message: DescriptorProto) -> str:
    """The line that keeps a message's `debug_redact` fields out of its `repr`; betterproto2 knows no such option."""
    secrets = [field.name for field in message.field if field.options.debug_redact]
    if not secrets:
        return ""
    return f"\nhide({message.name}, {', '.join(repr(name) for name in secrets)})\n"


def _by_capability(files: Sequence[FileDescriptorProto]) -> dict[str, str]:
    names: dict[str, list[str]] = {}
    packages: dict[str, str] = {}
    for file in files:
        found = [message.name for message in file.message_type] + [enum.name for enum in file.enum_type]
        names.setdefault(file.package, []).extend(found)
        packages[capability(file.package)] = file.package
    made = {"messages/__init__.py": f'{HEADER}"""The messages of the asynchronous client, a module a capability."""\n'}
    for name, package in packages.items():
        rows = sorted(names[package])
        made[f"messages/{name}.py"] = "\n".join(
            [
                f'{HEADER}"""Messages of `{package}`."""\n',
                f"from tollbridge_sdk._generated.messages.{package} import (",
                *[f"    {row}," for row in rows],
                ")\n",
                "__all__ = [",
                *[f'    "{row}",' for row in rows],
                "]\n",
            ]
        )
    return made
