"""The `tollbridge` command and its subcommands.

A subcommand's module is imported only when it is the one that was called: `serve` must not load a database driver, and
`--help` must not load a server. To add one, write `cli/<name>.py` and name it in SUBCOMMANDS.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import typer


@dataclass(frozen=True)
class Subcommand:
    """Where a subcommand lives, and its line in `tollbridge --help`."""

    module: str
    attribute: str
    """A function, which becomes a command, or a typer.Typer, which becomes a group."""
    help: str


SUBCOMMANDS: Final = {
    "serve": Subcommand("cli.serve", "serve", "Start everything on this machine."),
    "server": Subcommand("cli.server", "server", "Serve gRPC against a database elsewhere."),
    "bridge": Subcommand("cli.bridge", "bridge", "Serve REST before gRPC servers elsewhere."),
    "jobs": Subcommand("cli.jobs", "jobs", "Do the background work of a database elsewhere."),
    "chat": Subcommand("cli.chat", "chat", "Talk to a model in the terminal."),
    "migrate": Subcommand("cli.migrate", "migrate", "Bring a database to this version."),
    "keys": Subcommand("cli.keys", "app", "Create, list and revoke keys."),
    "leases": Subcommand("cli.leases", "app", "List reserved money, and give up a lost machine's."),
    "users": Subcommand("cli.users", "app", "Create administrators."),
    "signing-keys": Subcommand("cli.signing_keys", "app", "List and rotate the keys that sign access tokens."),
    "verify": Subcommand("cli.verify", "verify", "Check that ledger, usage and holds agree."),
}


def command_line(arguments: Sequence[str]) -> typer.Typer:
    """The whole command, with the subcommand that `arguments` call in full and the others as a line of help."""
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    app = typer.Typer(
        name="tollbridge",
        help="A toll bridge in front of AI models.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
    )
    # Keeps "tollbridge NAME" even if only one command were left.
    app.callback()(_root)
    for name, subcommand in SUBCOMMANDS.items():
        if name != called:
            app.command(name, help=subcommand.help)(_root)
            continue
        target = getattr(importlib.import_module(subcommand.module), subcommand.attribute)
        if isinstance(target, typer.Typer):
            app.add_typer(target, name=name)
        else:
            app.command(name)(target)
    return app


def main() -> None:
    """Runs the command line of this process and exits."""
    # grpc's core writes lines of its own about each handshake that fails; what matters of them we say ourselves.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    command_line(sys.argv[1:])(prog_name="tollbridge")


def _root() -> None:
    """A toll bridge in front of AI models."""
