"""What is published: a wheel that works from an empty environment, and a README whose examples run in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.docs.checkout import CHECKOUT, blocks, table_rows
from tests.support.scratch import scratch_folder
from tests.support.served import Served, environment
from tollbridge_sdk import __version__, errors

SDK: Final = CHECKOUT / "sdk"
README: Final = SDK / "README.md"
EXAMPLES: Final = [block.text for block in blocks(README) if block.language == "python"]
SECONDS: Final = 120.0
ADDRESS, MODEL = "127.0.0.1:50051", "smollm2-135m"
# As `./run` has it: behind a proxy that signs with its own, only the system's certificates will do.
CERTIFICATES: Final = {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"}


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with the wheel and what it needs."""

    wheel: Path
    folder: Path

    def python(self, code: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Runs code there, where nothing of the checkout is to be found."""
        inherited = {name: value for name, value in environment().items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [self.folder / "bin" / "python", "-I", "-c", code],
            cwd=self.folder,
            env={**inherited, **extra},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


def uv(*arguments: str | Path) -> str:
    """Runs uv; its output. Fails with what it said."""
    command = [Path(sys.executable).with_name("uv"), *arguments]
    ended = subprocess.run(
        command, env={**CERTIFICATES, **os.environ}, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    """The wheel as it is built from its own source distribution, in an environment of its own."""
    with scratch_folder() as folder:
        build = ["--no-build-isolation", "--python", sys.executable, "--out-dir", str(folder / "dist")]
        uv("build", *build, SDK)
        (wheel,) = (folder / "dist").glob("*.whl")
        uv("venv", "--python", sys.executable, folder / "venv")
        python = folder / "venv" / "bin" / "python"
        uv("pip", "install", "--python", python, "--constraint", CHECKOUT / "requirements" / "dev.txt", wheel)
        yield Installed(wheel, folder / "venv")


def test_nothing_else_comes_with_it(installed: Installed) -> None:
    listed = uv("pip", "list", "--format", "freeze", "--python", installed.folder / "bin" / "python")
    assert {line.partition("==")[0] for line in listed.split()} == {
        "betterproto2",
        "googleapis-common-protos",
        "grpcio",
        "protobuf",
        "python-dateutil",
        "tollbridge-sdk",
        "typing-extensions",
        "tzdata",
    }


def test_the_wheel_has_both_kinds_of_messages_their_types_and_the_licence(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    assert {
        "tollbridge_sdk/py.typed",
        "tollbridge_sdk/messages/chat.py",
        "tollbridge/py.typed",
        "tollbridge/chat/v1/chat_pb2.py",
        "tollbridge/chat/v1/chat_pb2.pyi",
        f"tollbridge_sdk-{__version__}.dist-info/licenses/LICENSE",
    } <= names
    # Without one, the modules of a server's checkout can be imported beside the wheel's.
    assert "tollbridge/__init__.py" not in names
    assert {name.partition("/")[0] for name in names} == {
        "buf",
        "tollbridge",
        "tollbridge_sdk",
        f"tollbridge_sdk-{__version__}.dist-info",
    }
    source = {path.relative_to(SDK).as_posix() for path in (SDK / "tollbridge_sdk").rglob("*.py")}
    assert source <= names


def test_it_is_imported_from_the_environment_and_both_kinds_live_together(installed: Installed) -> None:
    ended = installed.python(
        "import tollbridge_sdk, tollbridge_sdk._generated.sync as a, tollbridge_sdk._generated.aio as b\n"
        "import importlib.util as u, pkgutil, tollbridge_sdk.messages as m, importlib\n"
        "for found in pkgutil.iter_modules(m.__path__): importlib.import_module(f'{m.__name__}.{found.name}')\n"
        "print(tollbridge_sdk.__file__, [u.find_spec(name) for name in ('server', 'bridge', 'cli')])"
    )
    assert ended.returncode == 0, ended.stderr
    place, found = ended.stdout.split(maxsplit=1)
    assert place.startswith(str(installed.folder))
    assert found.strip() == "[None, None, None]"


def paste(example: str, installed: Installed, served: Served) -> str:
    """What an example prints; the address and the model are the test's own."""
    assert ADDRESS in example
    text = example.replace(ADDRESS, served.grpc).replace(MODEL, "gpt-4o-mini")
    ended = installed.python(text, TOLLBRIDGE_API_KEY=served.api_key)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


PRINTED: Final = [
    r"(?s).+\ncost 0\.\d+ USD left \d+\.\d+\n",
    r"(?s).+\n\d+ tokens out\n",
    r"(?s).*gpt-4o-mini \d+\n.+\ncost 0\.\d+\n.+\n",
    r"no such model: gpt-0\n",
    r"(key_\w+ tb_live_\S+\n)+(use_\w+ \d+ 0\.\d+\n)+",
]


def test_every_example_is_run() -> None:
    assert len(EXAMPLES) == len(PRINTED)


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_an_example_of_the_readme_works(number: int, installed: Installed, served: Served) -> None:
    assert re.fullmatch(PRINTED[number], paste(EXAMPLES[number], installed, served))


def test_versions_are_one() -> None:
    server = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    assert __version__ == server
    assert (SDK / "LICENSE").read_bytes() == (CHECKOUT / "LICENSE").read_bytes()


def test_the_readme_names_every_error() -> None:
    table = " ".join(cell for row in table_rows(README, "## When a call fails") for cell in row)
    defined = {name for name, found in vars(errors).items() if isinstance(found, type) and name.endswith("Error")}
    assert set(re.findall(r"`(\w+Error)`", table)) == defined - {"TollbridgeError"}
