"""Writes `docs/aliases.md`: the format, and what each system gets. `python -m bridge.aliases.document IMAGE OUT`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from bridge.aliases import reader, request_rules, template
from bridge.aliases.formats import FORMATS, IN_FORMATS
from bridge.aliases.loader import known_systems, load
from bridge.aliases.route import AliasRoute, System
from bridge.aliases.source import AliasError
from bridge.catalog import Catalog

_HEAD = """\
# Aliases

Clients of other systems keep working when their base URL points here: `tollbridge serve --aliases {names}`
(or some of them; `tollbridge bridge` takes the same option, and `TOLLBRIDGE_ALIASES` stands for both).

An alias is data: a documented call, the RPC that serves it, and how names and forms differ. It passes through exactly
the authentication, limits, metering and audit of the canonical route, because it is the same endpoint. Whatever a call
needs that no RPC gives becomes an RPC. This page is generated from the files in `bridge/aliases/`.

- The most specific path wins: fixed segments before variables, so a reserved word is never an id. No call redirects.
- A file that names an unknown RPC, field or word, claims a call twice, or shadows a route of ours stops the start with
  file, line and place.
- Of two systems that document one call, each loaded file must have the very same route, marked `shared`.
- A file of your own is loaded by its path: `--aliases ./mine.yaml`.
- What a chat came to is known when it has ended, so the last chunk of a stream waits for that; no other does.
"""


def build(catalog: Catalog) -> str:
    """The whole page."""
    systems = load(known_systems(), catalog).systems
    parts = [_HEAD.format(names=",".join(system.name for system in systems)), *_format()]
    for system in systems:
        parts += _system(system)
    return "\n".join(parts).rstrip() + "\n"


def _format() -> Iterator[str]:
    yield "## The format\n"
    yield from _words("A file has:", reader.FILE_KEYS)
    yield from _words("A route has:", reader.ROUTE_KEYS)
    yield from _words(
        "A rename in `body` or `query` is a documented name and a field of the RPC, or:", request_rules.KEYWORDS
    )
    yield from _words(
        'In `answer`, `envelope` and `chat.last` a text is a path ("." is all of it), a mapping is an object, and:',
        template.KEYWORDS,
    )
    yield from _words("Formats of answers:", {name: each.sentence for name, each in FORMATS.items()})
    yield from _words("Formats of requests:", {name: each.sentence for name, each in IN_FORMATS.items()})


def _words(title: str, words: Mapping[str, str]) -> Iterator[str]:
    yield f"{title}\n"
    yield "| Word | Meaning |\n|---|---|"
    yield from (f"| `{word}` | {_cell(sentence)} |" for word, sentence in words.items())
    yield ""


def _system(system: System) -> Iterator[str]:
    yield f"## {system.title}\n"
    yield f"{system.about} `--aliases {system.name}`\n"
    if system.credential is not None:
        form = system.credential
        yield (
            f"{form.row}: beside a bearer credential, `{form.id_header}` (a key's id) with `{form.secret_header}` "
            "(its secret).\n"
        )
    if system.routes or system.canonical:
        yield "| Row | Call | RPC | What it does |\n|---|---|---|---|"
        for route in system.routes:
            yield f"| {route.row} | `{_call(route)}` | `{_short(route.rpc)}` | {_cell(route.summary)} |"
        for row in system.canonical:
            rpc = f"`{_short(row.rpc)}`" if row.rpc else "a page"
            yield f"| {row.row} | `{row.call}` (ours) | {rpc} | {_cell(row.why)} |"
        yield ""
    yield "Not served yet:\n"
    yield "| Row | Call or feature | Why |\n|---|---|---|"
    yield from (f"| {row.row} | {_cell(row.call)} | {_cell(row.why)} |" for row in system.unserved)
    yield ""


def _call(route: AliasRoute) -> str:
    return route.call + ("` with and without `/" if route.both_slashes else "")


def _short(rpc: str) -> str:
    return ".".join(rpc.split(".")[-2:])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Runs the command; 2 for a wrong call."""
    if len(arguments) != 2:
        sys.stderr.write("Usage: python -m bridge.aliases.document IMAGE OUT\n")
        return 2
    try:
        page = build(Catalog.from_image(Path(arguments[0]).read_bytes()))
    except AliasError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    Path(arguments[1]).write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
