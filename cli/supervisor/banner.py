"""What a person sees once everything serves."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from cli.supervisor.steps import Prepared

KEY_VARIABLE: Final = "$TOLLBRIDGE_API_KEY"


@dataclass(frozen=True)
class Addresses:
    """Where the two ports are, as clients write them."""

    http: str
    """`http://host:port`, or `https`"""
    grpc: str
    """`host:port`"""
    tls: bool = False
    """Whether both ports speak TLS."""


def curl_line(addresses: Addresses, model: str, api_key: str | None) -> str:
    """One line for a shell that asks `model` something; without a key it takes it from $TOLLBRIDGE_API_KEY."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Say hello."}]})
    return (
        f"curl {addresses.http}/v1/chat/completions"
        f' -H "Authorization: Bearer {api_key or KEY_VARIABLE}"'
        f" -H 'Content-Type: application/json' -d '{body}'"
    )


def print_banner(addresses: Addresses, prepared: Prepared, bootstrap_file: Path, stream: TextIO = sys.stdout) -> None:
    """Prints the addresses, the first start's secrets (on a terminal only) and a curl line."""
    terminal = stream.isatty()
    lines = _facts(addresses, prepared, bootstrap_file, terminal)
    line = curl_line(addresses, prepared.model, prepared.api_key if terminal else None) if prepared.model else None
    if terminal:
        _print_coloured(stream, lines, line)
        return
    stream.writelines(f"{name}: {value}\n" for name, value in lines)
    if line is not None:
        stream.write(f"{line}\n")
    stream.flush()


def _facts(addresses: Addresses, prepared: Prepared, bootstrap_file: Path, terminal: bool) -> list[tuple[str, str]]:
    facts = [
        ("Bridge", addresses.http),
        ("gRPC", f"{addresses.grpc} ({'TLS' if addresses.tls else 'plaintext'})"),
        ("Docs", f"{addresses.http}/docs"),
    ]
    if not prepared.secrets:
        if prepared.model is not None:
            where = f"lie in {bootstrap_file}" if bootstrap_file.exists() else "were shown at the first start, once"
            facts.append(("Secrets", f"the first key and password {where}"))
    elif not terminal:
        facts.append(("Secrets", f"{bootstrap_file} (the first key, and the administrator's one-time password)"))
    else:
        facts.append(("Admin", prepared.admin_email or ""))
        facts.append(("Password", f"{prepared.admin_password} (works once, then choose your own)"))
        facts.append(("API key", prepared.api_key or ""))
    return facts


def _print_coloured(stream: TextIO, lines: list[tuple[str, str]], curl: str | None) -> None:
    from rich.console import Console  # noqa: PLC0415 - 5 MB that a start without a terminal spares

    console = Console(file=stream, highlight=False)
    console.print()
    console.print("  [bold]Tollbridge is open[/bold]  [dim]Ctrl-C stops it[/dim]")
    console.print()
    for name, value in lines:
        # Soft wrap: the terminal breaks long lines, so that what is copied has no line feeds in it.
        console.print(f"  [cyan]{name:<9}[/cyan]", end="")
        console.print(value, markup=False, soft_wrap=True)
    if curl is not None:
        console.print()
        console.print(curl, markup=False, soft_wrap=True, style="green")
    console.print()
