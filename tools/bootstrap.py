"""Makes `.venv` hold exactly what `requirements/` pins, by hash. `./run` calls it when it does not.

Standard library only: it runs with whichever Python `./run` found, before anything is installed. Two starts at once
take turns by a lock that the kernel releases, whatever ends its holder. An installation that was cut short is
thrown away and made again; so is one whose checkout was moved, because installed scripts name their folder.
"""

from __future__ import annotations

import fcntl
import filecmp
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
LISTS = ("dev", "embedded")
HEARTBEAT_SECONDS = 5.0


def say(text: str) -> None:
    """Progress goes to stderr: stdout belongs to the task."""
    print(f"run: {text}", file=sys.stderr, flush=True)


class Environment:
    """The checkout's virtual environment, and the record of what was installed into it.

    The record is the folder `.venv/installed`: a copy of each requirements file, and `checkout` with two lines, the
    checkout's path and the resolved path of the interpreter. `./run` compares the same files.
    """

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self.folder = checkout / ".venv"
        self.python = self.folder / "bin" / "python"
        self.record = self.folder / "installed"
        self.unfinished = self.folder / "unfinished"

    def identity(self) -> str:
        return f"{self.checkout}\n{self.python.resolve()}\n"

    def belongs_here(self) -> bool:
        """Whether it was made for this path and this interpreter, and no installation into it was cut short."""
        recorded = self.record / "checkout"
        if self.unfinished.exists() or not recorded.is_file() or not os.access(self.python, os.X_OK):
            return False
        return recorded.read_text("utf-8") == self.identity()

    def is_current(self) -> bool:
        """Whether it also holds what the requirements ask for now."""
        return self.belongs_here() and all(
            filecmp.cmp(self.requirements(name), self.record / f"{name}.txt", shallow=False) for name in LISTS
        )

    def requirements(self, name: str) -> Path:
        return self.checkout / "requirements" / f"{name}.txt"

    def remember(self) -> None:
        """Records what is installed; the checkout's line comes last, so that half a record counts as none."""
        self.record.mkdir(exist_ok=True)
        for name in LISTS:
            shutil.copyfile(self.requirements(name), self.record / f"{name}.txt")
        (self.record / "checkout").write_text(self.identity(), "utf-8")


@contextmanager
def turn(checkout: Path) -> Iterator[int]:
    """Waits until no other start installs into this checkout. Gives the lock's descriptor, to hand to children."""
    with (checkout / ".venv.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is installing here, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def find_uv(environment: Environment) -> str | None:
    """The uv of PATH, else the one in `.venv`, else None."""
    elsewhere = [entry for entry in os.get_exec_path() if Path(entry) != environment.folder / "bin"]
    return shutil.which("uv", path=os.pathsep.join([*elsewhere, str(environment.folder / "bin")]))


def create(environment: Environment) -> None:
    """Makes an empty environment, with pip only where pip has to bring uv."""
    if environment.folder.exists():
        shutil.rmtree(environment.folder)
    without_pip = ["--without-pip"] if find_uv(environment) else []
    made = subprocess.run([sys.executable, "-m", "venv", *without_pip, str(environment.folder)], check=False)
    if made.returncode:
        raise SystemExit("run: Python could not make .venv. On Debian and Ubuntu: apt-get install python3-venv")
    environment.unfinished.touch()


@contextmanager
def heartbeat(what: str) -> Iterator[None]:
    """Says every few seconds that the work goes on, where no terminal shows the installer's own progress."""
    done = threading.Event()
    began = time.monotonic()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"{what}, {time.monotonic() - began:.0f} s so far")

    thread = threading.Thread(target=beat, daemon=True)
    if not sys.stderr.isatty():
        thread.start()
    try:
        yield
    finally:
        done.set()


def install(environment: Environment, lock: int) -> None:
    """Brings uv if there is none, then installs the pinned lists: nothing more, nothing less, nothing resolved."""
    uv = find_uv(environment)
    if uv is None:
        say("fetching uv")
        pip = [str(environment.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        execute([*pip, "--require-hashes", "-r", str(environment.requirements("bootstrap"))], lock)
        uv = str(environment.folder / "bin" / "uv")
    say("installing the pinned packages into .venv")
    # Compiled now, because an environment that may not be written later would be compiled at every start.
    sync = [uv, "pip", "sync", "--require-hashes", "--compile-bytecode", "--python", str(environment.python)]
    # On a terminal uv draws its own progress; elsewhere it would only list every package.
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    with heartbeat("installing"):
        execute([*sync, *quiet, *(str(environment.requirements(name)) for name in LISTS)], lock)


def execute(command: list[str], lock: int) -> None:
    """Runs an installer with its output on stderr. It holds the lock too, so that it is never overtaken."""
    # uv brings its own certificates; behind a proxy that signs with its own, only the system's will do, as for pip.
    system_certificates = {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"}
    ended = subprocess.run(
        command, stdout=sys.stderr, pass_fds=[lock], env={**system_certificates, **os.environ}, check=False
    )
    if ended.returncode:
        raise SystemExit(f"run: {Path(command[0]).name} could not install the packages (status {ended.returncode})")


def link(environment: Environment) -> None:
    """Puts the checkout and its generated code on sys.path, and the `tollbridge` command beside the interpreter."""
    packages = next((environment.folder / "lib").glob("python3.*/site-packages"))
    roots = f"{environment.checkout}\n{environment.checkout / 'generated'}\n"
    (packages / "tollbridge.pth").write_text(roots, "utf-8")
    command = environment.folder / "bin" / "tollbridge"
    # A shebang cannot hold a path with spaces: sh reads the second line as a command, Python as a string.
    command.write_text(
        f"""#!/bin/sh
'''exec' {shlex.quote(str(environment.python))} "$0" "$@"
' '''
import sys

from cli.main import main

sys.exit(main())
""",
        "utf-8",
    )
    command.chmod(0o755)


def bring_up_to_date(environment: Environment) -> None:
    """Installs whatever is missing. Raises SystemExit with a sentence where that cannot be done."""
    with turn(environment.checkout) as lock:
        if environment.is_current():
            return
        began = time.monotonic()
        if not environment.belongs_here():
            create(environment)
        (environment.record / "checkout").unlink(missing_ok=True)
        environment.unfinished.touch()
        install(environment, lock)
        link(environment)
        environment.remember()
        environment.unfinished.unlink()
        say(f"ready after {time.monotonic() - began:.0f} s")


def main() -> None:
    try:
        bring_up_to_date(Environment(CHECKOUT))
    except KeyboardInterrupt:
        say("interrupted; the next ./run makes .venv again")
        sys.exit(130)
    except OSError as error:
        sys.exit(f"run: {CHECKOUT / '.venv'} could not be made: {error}")


if __name__ == "__main__":
    main()
