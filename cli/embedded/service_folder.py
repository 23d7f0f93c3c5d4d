"""A service's own folder, and a short place for its socket."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cli.embedded.errors import EmbeddedServiceError

# sun_path is 108 bytes with its closing zero (unix(7)).
LONGEST_SOCKET_PATH = 107


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Makes `folder` with its parents and checks that it can be written; raises EmbeddedServiceError otherwise."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=mode)
    except OSError as error:
        raise EmbeddedServiceError(f"The data directory {folder} cannot be made: {error.strerror}.") from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise EmbeddedServiceError(f"The data directory {folder} is not writable.")


class SocketFolder:
    """A folder of mode 0700 for a unix socket, short enough for any data directory.

    It is `<folder>/socket` when the path fits. Otherwise it lies among the temporary files under a name that `folder`
    and the user decide, so that the next start finds and clears what a killed one left.
    """

    def __init__(self, folder: Path, socket_name: str) -> None:
        self._beside = folder / "socket"
        self._socket_name = socket_name
        self.path = self._beside

    @property
    def socket(self) -> Path:
        """Where the socket is."""
        return self.path / self._socket_name

    def make(self, owner: int) -> None:
        """Makes the folder afresh, owned by the user `owner`; raises EmbeddedServiceError when none can be made."""
        for candidate in self._candidates():
            if len(os.fsencode(candidate / self._socket_name)) > LONGEST_SOCKET_PATH:
                continue
            if self._take(candidate, owner):
                self.path = candidate
                return
        raise EmbeddedServiceError(f"No folder for the socket of {self._beside.parent} can be made; set TMPDIR.")

    def remove(self) -> None:
        """Removes the folder and what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _candidates(self) -> Iterator[Path]:
        digest = hashlib.sha256(os.fsencode(self._beside.absolute())).hexdigest()[:16]
        yield self._beside.absolute()
        # The last one is for a TMPDIR that is itself too long; mkdir below refuses what somebody else put there.
        for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108
            if parent:
                yield Path(parent) / f"tollbridge-{os.geteuid()}-{digest}"

    @staticmethod
    def _take(candidate: Path, owner: int) -> bool:
        shutil.rmtree(candidate, ignore_errors=True)
        try:
            # Fails on a folder or link that another user put there, which rmtree could not remove.
            candidate.mkdir(mode=0o700)
            if owner != os.geteuid():
                os.chown(candidate, owner, -1)
        except OSError:
            return False
        return True
