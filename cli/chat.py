"""`tollbridge chat`: talk to a model of a running server in the terminal."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from cli.serve import CHECKOUT_DATA
from cli.talk.client import TalkClient
from cli.talk.conversation import Conversation
from cli.talk.failures import TalkError
from cli.talk.place import find_place
from cli.talk.printer import MarkdownPrinter, PlainPrinter, Printer

_PROMPT: Final = "> "
_INTERRUPTED: Final = 130


def chat(
    question: Annotated[
        str | None, typer.Argument(help="One question; without it a conversation, or what is piped in.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The server; default TOLLBRIDGE_URL, else a local one.", show_default=False)
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="The API key; default TOLLBRIDGE_API_KEY, else the first start's.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model or profile; default the first of the list.")
    ] = None,
    system: Annotated[str, typer.Option(help="A system message to begin with.")] = "",
    data_dir: Annotated[
        Path,
        typer.Option(help="Where a local `serve` keeps its files.", show_default="data/ in the checkout"),
    ] = CHECKOUT_DATA,
) -> None:
    """Talk to a model: streamed, with what each answer cost.

    On a terminal Markdown is rendered, and a conversation goes on until Ctrl-D; /help lists its commands. Ctrl-C stops
    an answer, a second one leaves. Piped, only the answer is written to the standard output.
    """
    piped = None if sys.stdin.isatty() else sys.stdin.read()
    asked = "\n\n".join(part for part in (question, piped) if part and part.strip())
    try:
        if not asked and piped is not None:
            raise TalkError("There is no question: give one as an argument, or pipe it in.")
        place = find_place(url, key, os.environ, data_dir)
        with asyncio.Runner() as runner:
            _talk(runner, TalkClient(place), model, system, asked)
    except TalkError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


def _talk(runner: asyncio.Runner, client: TalkClient, model: str | None, system: str, asked: str) -> None:
    runner.run(client.__aenter__())
    try:
        names = [model] if model else runner.run(client.models())
        if not names:
            raise TalkError("This key may call no model, or the server has none.")
        talk = Conversation(client, names[0], _printer(), _say, system)
        if not asked:
            _converse(runner, talk)
        elif not runner.run(talk.ask(asked)):
            raise KeyboardInterrupt
    finally:
        runner.run(client.__aexit__(None, None, None))


def _converse(runner: asyncio.Runner, talk: Conversation) -> None:
    # Lines can be edited, and earlier ones come back with the arrow keys.
    import readline  # noqa: F401, PLC0415

    _say(f"{talk.model}. /help lists the commands.")
    # Also between an answer's cost and the next prompt: a Ctrl-C that stops no answer leaves, wherever it arrives.
    with suppress(KeyboardInterrupt):
        while _turn(runner, talk):
            pass
    if talk.answers:
        _say(talk.total())


def _turn(runner: asyncio.Runner, talk: Conversation) -> bool:
    """One line and what it asks for; whether the conversation goes on. Raises KeyboardInterrupt."""
    try:
        line = input(_PROMPT).strip()
    except (EOFError, KeyboardInterrupt):
        print()
        return False
    if line in ("/quit", "/exit"):
        return False
    try:
        if line:
            runner.run(talk.command(line) if line.startswith("/") else talk.ask(line))
    except TalkError as error:
        print(error, file=sys.stderr)
    return True


def _printer() -> Callable[[], Printer]:
    if sys.stdout.isatty():
        return partial(MarkdownPrinter, Console())
    return partial(PlainPrinter, sys.stdout)


def _say(line: str) -> None:
    """About the conversation, not of it: on the standard error, so that a pipe gets the answer alone."""
    Console(stderr=True, highlight=False).print(line, style="dim", markup=False, soft_wrap=True)
