"""How an answer is shown while it comes: rendered Markdown on a terminal, the text itself everywhere else."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

_FENCE: Final = "```"
_FRAMES_A_SECOND: Final = 12


class Printer(Protocol):
    """Shows one answer, as a context."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None: ...

    def add(self, piece: str) -> None:
        """Shows what is new."""


class PlainPrinter:
    """Writes pieces as they come, and a line feed at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._last and not self._last.endswith("\n"):
            self._stream.write("\n")
        self._stream.flush()

    def add(self, piece: str) -> None:
        """Writes the piece."""
        self._last = piece
        self._stream.write(piece)
        self._stream.flush()


class MarkdownPrinter:
    """Renders block by block: whole blocks are printed for good, the last one is drawn anew while it grows."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True, refresh_per_second=_FRAMES_A_SECOND)
        self._growing = ""

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.update("")
        self._live.__exit__(kind, error, trace)
        if self._growing.strip():
            self._console.print(Markdown(self._growing))

    def add(self, piece: str) -> None:
        """Draws what is new."""
        self._growing += piece
        whole, self._growing = split_blocks(self._growing)
        if whole.strip():
            self._live.console.print(Markdown(whole))
            self._live.console.print()
        self._live.update(Markdown(self._growing))


def split_blocks(text: str) -> tuple[str, str]:
    """Whole blocks, and the one that may still grow: blocks end at a blank line outside of fenced code."""
    end = len(text)
    while (end := text.rfind("\n\n", 0, end)) != -1:
        if text.count(_FENCE, 0, end) % 2 == 0:
            return text[: end + 2], text[end + 2 :]
    return "", text
