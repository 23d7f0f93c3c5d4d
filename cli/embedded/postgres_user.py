"""Which user PostgreSQL runs as: it refuses root, so root lends it another identity.

An ordinary user runs it as itself. Root runs it in a user namespace where it is somebody else, or, where namespaces
are forbidden (a container), as `nobody`. The owner of the files differs between the two, so the first start's choice
is recorded beside the data and never changed.
"""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cli.embedded import user_namespace
from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.postgres_binaries import PostgresBinaries

Mode = Literal["itself", "namespace", "nobody"]


@dataclass(frozen=True)
class PostgresUser:
    """How a child becomes the user that PostgreSQL runs as, and who owns its files outside."""

    mode: Mode
    owner: int
    group: int

    def become(self) -> None:
        """Turns the calling process, a child between fork and exec, into that user."""
        if self.mode == "namespace":
            user_namespace.enter()
        elif self.mode == "nobody":
            os.setgroups([])
            os.setgid(self.group)
            os.setuid(self.owner)

    def give(self, path: Path) -> None:
        """Makes `path` the user's own, where that is another one than ours."""
        if self.mode == "nobody":
            os.chown(path, self.owner, self.group)


def choose_user(folder: Path) -> PostgresUser:
    """The user recorded in `folder`, else the best for this process, which is then recorded there.

    Raises EmbeddedServiceError when the recorded one cannot be had by this process.
    """
    record = folder / "runs-as"
    me = os.geteuid()
    if not record.exists():
        user = _best_user()
        record.write_text(f"{user.mode} {user.owner}\n")
        return user
    mode, _, owner = record.read_text().strip().partition(" ")
    if mode == "itself" and int(owner) == me:
        return PostgresUser("itself", me, os.getegid())
    if me != 0:
        raise EmbeddedServiceError(f"The database in {folder} belongs to user {owner if mode == 'itself' else 'root'}.")
    if mode == "namespace":
        hindrance = user_namespace.hindrance()
        if hindrance:
            raise EmbeddedServiceError(
                f"The database in {folder} was made in a user namespace, and root gets none now: {hindrance}"
            )
        return PostgresUser("namespace", 0, 0)
    if mode == "nobody":
        return _nobody()
    raise EmbeddedServiceError(f"The database in {folder} belongs to user {owner}; start as that user.")


def reachable_binaries(user: PostgresUser, binaries: PostgresBinaries, folder: Path) -> PostgresBinaries:
    """`binaries`, or a copy of them in `folder` when they lie where `nobody` may not go.

    Raises EmbeddedServiceError when `nobody` cannot reach `folder` itself, or programs that cannot be copied.
    """
    if user.mode != "nobody":
        return binaries
    hindrance = _closed_to_others(folder)
    if hindrance is not None:
        raise EmbeddedServiceError(
            f"PostgreSQL runs as nobody here, who may not enter {hindrance}: choose a --data-dir open to everyone."
        )
    if _closed_to_others(binaries.folder) is None:
        return binaries
    if not binaries.copy_roots:
        raise EmbeddedServiceError(f"PostgreSQL runs as nobody here, who may not enter {binaries.folder}.")
    return _copy(binaries, folder / "programs")


def _copy(binaries: PostgresBinaries, target: Path) -> PostgresBinaries:
    first = binaries.copy_roots[0]
    copied = PostgresBinaries(target / first.name / binaries.folder.relative_to(first), binaries.major)
    if (copied.folder / "postgres").exists():
        return copied
    unfinished = target.with_name(target.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o755)
    for root in binaries.copy_roots:
        shutil.copytree(root, unfinished / root.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    return copied


def _closed_to_others(path: Path) -> Path | None:
    absolute = path.resolve()
    for folder in (*reversed(absolute.parents), absolute):
        if not folder.stat().st_mode & 0o001:
            return folder
    return None


def _best_user() -> PostgresUser:
    if os.geteuid() != 0:
        return PostgresUser("itself", os.geteuid(), os.getegid())
    return _nobody() if user_namespace.hindrance() else PostgresUser("namespace", 0, 0)


def _nobody() -> PostgresUser:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return PostgresUser("nobody", user_namespace.NAMESPACE_ID, user_namespace.NAMESPACE_ID)
    return PostgresUser("nobody", entry.pw_uid, entry.pw_gid)
