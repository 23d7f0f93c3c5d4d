"""The options of `tollbridge bridge` that are about a foreign service: one that its descriptors alone describe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from bridge.catalog import Catalog
from bridge.descriptor_image import CatalogError
from bridge.foreign.policy import ForeignOptions
from bridge.json_writer import PrintRules
from bridge.path_template import TemplateError, parse_template
from cli.process import StartError

_PANEL = "Any gRPC service (with --descriptors)"

Descriptors: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="IMAGE",
        help="Serve the services of this FileDescriptorSet by their google.api.http rules, instead of the platform's.",
        rich_help_panel=_PANEL,
    ),
]
Auth: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--auth", help="Refuse requests without Authorization or x-api-key before their body.", rich_help_panel=_PANEL
    ),
]
Services: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--service", metavar="NAME", help="Only this service, by its full name; may come often.", rich_help_panel=_PANEL
    ),
]
IgnoreUnknown: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--ignore-unknown", help="Pass over unknown fields and parameters instead of 400.", rich_help_panel=_PANEL
    ),
]
ProtoNames: TypeAlias = Annotated[
    bool,
    typer.Option("--preserve-proto-field-names", help="Print field_name instead of fieldName.", rich_help_panel=_PANEL),
]
Zeros: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--always-print-fields-with-no-presence", help="Print zero and empty fields, too.", rich_help_panel=_PANEL
    ),
]
EnumNumbers: TypeAlias = Annotated[
    bool,
    typer.Option("--print-enums-as-ints", help="Print enums by number.", rich_help_panel=_PANEL),
]
Pages: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="/PREFIX",
        help="Serve /PREFIX/health, /PREFIX/health/ready and /PREFIX/metrics beside the service.",
        rich_help_panel=_PANEL,
        show_default="no pages",
    ),
]


@dataclass(frozen=True)
class Foreign:
    """A foreign service: where its descriptors are, and what was chosen."""

    image: Path
    options: ForeignOptions = field(default_factory=ForeignOptions)

    def read_catalog(self) -> Catalog:
        """The methods of the image. Raises `StartError`, and OSError where the file cannot be read."""
        try:
            return Catalog.from_image(self.image.read_bytes(), foreign=True)
        except CatalogError as error:
            raise self.refusal(error) from None

    def refusal(self, error: Exception) -> StartError:
        """The sentence that names the file."""
        return StartError(f"--descriptors {self.image}: {error}")


def foreign_service(
    descriptors: Path | None,
    *,
    auth: bool,
    services: list[str] | None,
    ignore_unknown: bool,
    proto_names: bool,
    zeros: bool,
    enum_numbers: bool,
    pages: str | None,
    aliases: str = "",
) -> Foreign | None:
    """What the options say; None where the platform itself is served. Raises `StartError` for a choice without effect
    or a prefix that is no path."""
    printing = PrintRules(proto_names, zeros, enum_numbers=enum_numbers)
    options = ForeignOptions(auth, ignore_unknown, printing, _prefix(pages), frozenset(services or ()))
    if descriptors is not None:
        if aliases:
            raise StartError("--aliases is for the platform's own bridge; leave it out with --descriptors.")
        return Foreign(descriptors, options)
    if options != ForeignOptions():
        raise StartError(
            "--auth, --service, --ignore-unknown, --preserve-proto-field-names, --print-enums-as-ints, "
            "--always-print-fields-with-no-presence and --pages are for a service of --descriptors."
        )
    return None


def _prefix(pages: str | None) -> str | None:
    if pages is None:
        return None
    prefix = pages.rstrip("/")
    try:
        if prefix and not parse_template(prefix).static:
            raise StartError(f"--pages {pages}: write a plain path, such as /_bridge.")
    except TemplateError:
        raise StartError(f"--pages {pages}: write a plain path, such as /_bridge.") from None
    return prefix
