"""A peer that is not to be had is told, and ends nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bench import peers
from bench.child import ProgramFailed
from bench.peers import litellm, scratch
from bench.scenarios import MODELS, PACES, UNARY_64
from bench.targets import Target


@contextmanager
def missing(_folder: Path, _ports: Mapping[str, int], _core: int) -> Iterator[Target]:
    yield Target(scratch.find("node-of-nowhere"), {}, Path())


@contextmanager
def there(_folder: Path, ports: Mapping[str, int], _core: int) -> Iterator[Target]:
    yield Target("There", dict(ports), Path())


def test_the_run_goes_on_without_a_peer_that_cannot_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PEERS", {"Missing": missing, "There": there})
    told: list[str] = []
    with ExitStack() as stack:
        ports = dict.fromkeys(PACES, 1)
        started = list(peers.start(["Missing", "There"], tmp_path, ports, stack, core=0, progress=told.append))

    assert [target.serves(UNARY_64) for target in started] == [False, True]
    assert started[0].notes == ("Missing is left out: there is no node-of-nowhere here",)
    assert told == ["installing and starting Missing", "installing and starting There"]


def test_what_is_not_installed_and_what_fails_is_told() -> None:
    with pytest.raises(ProgramFailed, match="there is no program-that-is-not-there here"):
        scratch.find("program-that-is-not-there")
    with pytest.raises(ProgramFailed, match="ended with 3\nno such package"):
        scratch.install([sys.executable, "-c", "print('no such package'); raise SystemExit(3)"])
    scratch.install([sys.executable, "-c", ""])


def test_a_program_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("it wants a licence\n")
    with (
        subprocess.Popen([sys.executable, "-c", ""]) as process,
        pytest.raises(ProgramFailed, match="before it was ready\nit wants a licence"),
    ):
        scratch.wait_until_ready(process, scratch.free_port(), "/", log)


def test_litellm_has_a_model_for_each_pace() -> None:
    models = litellm.configuration(dict.fromkeys(PACES, 80))["model_list"]
    assert isinstance(models, list)
    assert [model["model_name"] for model in models] == list(MODELS.values())
