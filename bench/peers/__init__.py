"""Other gateways, measured beside Tollbridge where they can be installed: each into a scratch folder of its own.

Package clients find their packages by their own configuration. A peer that cannot be installed or does not get ready
is left out, and the run says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

from bench.child import ProgramFailed
from bench.peers import litellm, portkey
from bench.targets import Target, made_up_keys

Peer = Callable[[Path, Mapping[str, int], int], AbstractContextManager[Target]]
"""Installs and starts a gateway: folder, the double's ports by pace, core. Raises ProgramFailed."""

PEERS: Final[Mapping[str, Peer]] = {litellm.NAME: litellm.started, portkey.NAME: portkey.started}


def start(
    names: Sequence[str],
    folder: Path,
    ports: Mapping[str, int],
    stack: ExitStack,
    *,
    core: int,
    progress: Callable[[str], None],
) -> Iterator[Target]:
    """The peers of these names that started; of the others a target that serves nothing and notes why."""
    for name in names:
        progress(f"installing and starting {name}")
        own = folder / name.replace("'", "").replace(" ", "-").lower()
        own.mkdir()
        try:
            yield stack.enter_context(PEERS[name](own, ports, core))
        except ProgramFailed as failure:
            why = " / ".join(str(failure).splitlines()[-3:])
            yield Target(name, {}, made_up_keys(folder), foreign=True, notes=(f"{name} is left out: {why}",))
