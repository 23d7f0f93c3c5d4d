"""Reading the journal of a process that is dead: what it promised, and how far its calls had come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from server.usage.journal.records import Closed, Opened, Progressed, decode_all
from server.usage.journal.writer import segments


@dataclass(slots=True)
class JournaledCall:
    """One call as its records tell it."""

    opened: Opened
    progressed: Progressed | None = None
    closed: Closed | None = None


def read(folder: Path) -> list[JournaledCall]:
    """Every call of the journal, in the order in which they were opened. A torn end of a segment is passed over: what
    stood there was promised to nobody. Raises OSError."""
    calls: dict[bytes, JournaledCall] = {}
    for path in segments(folder):
        for record in decode_all(path.read_bytes()):
            _apply(calls, record)
    return list(calls.values())


def _apply(calls: dict[bytes, JournaledCall], record: Opened | Progressed | Closed) -> None:
    if isinstance(record, Opened):
        # A call that is carried into the next segment is opened again; what is known of it stays.
        calls.setdefault(record.call, JournaledCall(record))
        return
    call = calls.get(record.call)
    if call is None:
        return
    if isinstance(record, Progressed):
        call.progressed = record
    else:
        call.closed = record
