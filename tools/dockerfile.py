"""Reads a Dockerfile as far as ours goes: stages of instructions, with continued lines joined and comments left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Instruction:
    """One instruction."""

    name: str
    """In capitals: `RUN`, `COPY`, …"""
    text: str
    """What follows, continued lines joined by a space."""

    @property
    def words(self) -> list[str]:
        """The text as words: a JSON array's, or what spaces part."""
        return list(json.loads(self.text)) if self.text.startswith("[") else self.text.split()


@dataclass
class Stage:
    """One `FROM` and what stands under it."""

    image: str
    name: str
    """After `AS`; empty for the last one."""
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> Instruction | None:
        """The instruction of this name that counts, None where there is none."""
        found = [instruction for instruction in self.instructions if instruction.name == name]
        return found[-1] if found else None


def read(text: str) -> list[Stage]:
    """The stages. Raises ValueError where an instruction comes before the first `FROM`."""
    stages: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.name == "FROM":
            image, _, name = instruction.text.partition(" AS ")
            stages.append(Stage(image.strip(), name.strip()))
        elif stages:
            stages[-1].instructions.append(instruction)
        else:
            raise ValueError(f"{instruction.name} stands before FROM")
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    joined = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        joined = f"{joined} {line.strip()}".strip()
        if joined.endswith("\\"):
            joined = joined[:-1].rstrip()
            continue
        if joined:
            name, _, rest = joined.partition(" ")
            yield Instruction(name.upper(), rest.strip())
        joined = ""
