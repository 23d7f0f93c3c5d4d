"""The conversation: what was said, what it cost, and the commands that are typed instead of questions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from cli.talk.client import Answer, Bill, Message, TalkClient
from cli.talk.failures import TalkError
from cli.talk.printer import Printer

HELP: Final = """\
/model          list the models; /model NAME or NUMBER takes another
/system TEXT    begin with a system message; alone: without one
/new            forget what was said
/quit           leave, as Ctrl-D and a second Ctrl-C do
Ctrl-C          stop the answer"""


@dataclass(slots=True)
class Conversation:
    """One conversation with one model at a time."""

    client: TalkClient
    model: str
    printer: Callable[[], Printer]
    """Makes what shows the next answer."""
    say: Callable[[str], None]
    """Prints a line about the conversation."""
    system: str = ""
    said: list[Message] = field(default_factory=list)
    cost: Decimal = Decimal(0)
    currency: str = "USD"
    tokens: int = 0
    answers: int = 0

    async def ask(self, question: str) -> bool:
        """Shows the answer and what it cost; whether it was heard to its end. A cancellation stops it, and what came is
        kept. Raises `TalkError`."""
        answer = Answer()
        beginning = [{"role": "system", "content": self.system}] if self.system else []
        asked = {"role": "user", "content": question}
        stopped = False
        with self.printer() as printer:
            try:
                async with aclosing(self.client.ask(self.model, [*beginning, *self.said, asked], answer)) as pieces:
                    async for piece in pieces:
                        printer.add(piece)
            except asyncio.CancelledError:
                # The connection is closed by now, which ends the call upstream. What follows is ours to do.
                _uncancel()
                stopped = True
        if answer.text:
            self.said += [asked, {"role": "assistant", "content": answer.text}]
        await self._tell_cost(answer, stopped)
        return not stopped

    async def command(self, line: str) -> None:
        """Carries out a line that begins with a slash. Raises `TalkError`."""
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        match name:
            case "/model":
                await self._choose(rest)
            case "/system":
                self.system = rest
                self.say("The system message is set." if rest else "There is no system message.")
            case "/new":
                self.said.clear()
                self.say("What was said is forgotten.")
            case "/help":
                self.say(HELP)
            case _:
                self.say(f"{name} is no command; /help lists them.")

    def total(self) -> str:
        """What all answers came to, as a line."""
        noun = "answer" if self.answers == 1 else "answers"
        return f"{self.answers} {noun}, {self.tokens:,} tokens, {_money(self.cost, self.currency)} in all"

    async def _choose(self, wanted: str) -> None:
        names = await self.client.models()
        if not wanted:
            marks = ("*" if name == self.model else " " for name in names)
            self.say(
                "\n".join(f"{mark} {n:2} {name}" for n, (mark, name) in enumerate(zip(marks, names, strict=True), 1))
            )
            return
        if wanted.isdecimal() and wanted not in names and 1 <= int(wanted) <= len(names):
            wanted = names[int(wanted) - 1]
        if wanted not in names:
            raise TalkError(f"There is no model {wanted!r} for this key; /model lists them.")
        self.model = wanted
        self.say(f"Now with {wanted}.")

    async def _tell_cost(self, answer: Answer, stopped: bool) -> None:
        bill = await self.client.bill(answer)
        ending = "stopped, " if stopped else ("cut at its limit, " if answer.finish_reason == "length" else "")
        if bill is None:
            self.say(f"{ending}the server does not tell the cost")
            return
        self._add(bill)
        counted = " (counted here)" if bill.estimated else ""
        self.say(
            f"{ending}{bill.prompt_tokens:,} + {bill.answer_tokens:,} tokens{counted}, "
            f"{_money(bill.cost, bill.currency)}; {self.total()}"
        )

    def _add(self, bill: Bill) -> None:
        self.answers += 1
        self.cost += bill.cost
        self.currency = bill.currency
        self.tokens += bill.prompt_tokens + bill.answer_tokens


def _money(amount: Decimal, currency: str) -> str:
    text = f"{amount:f}"
    return f"{text} {currency}"


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
