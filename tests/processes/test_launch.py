"""What is handed from process to process, and how often a child is started again."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from cli.launch import Launch, LaunchError
from cli.supervisor.back_off import BackOff
from cli.supervisor.options import ServeOptions

LAUNCH = Launch(
    data_dir=Path("/srv/toll"),
    host="127.0.0.1",
    http_port=8080,
    grpc_port=50051,
    database_url="postgresql://a",
    database_owner_url="postgresql://b",
    redis_url="unix:///c",
    environment="development",
    secret_file=Path("/srv/toll/secret"),
    embedded=True,
    insecure=True,
    config_file=Path("/etc/toll.toml"),
    trusted_proxies=("10.0.0.0/8",),
    model_base_url="http://127.0.0.1:1/v1",
    model_api_key="hidden",
    http_fd=3,
    ready_fd=4,
    result_fd=5,
    worker_index=2,
)


@pytest.mark.parametrize("launch", [LAUNCH, replace(LAUNCH, config_file=None, model_base_url=None, http_fd=None)])
def test_a_launch_reads_back_as_it_was_written(launch: Launch) -> None:
    assert Launch.from_environment(launch.to_environment()) == launch


def test_a_launch_does_not_show_its_secrets() -> None:
    assert "hidden" not in repr(LAUNCH)
    assert "postgresql" not in repr(LAUNCH)


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"data_dir": "/x"}'])
def test_a_process_started_by_hand_says_so(text: str | None) -> None:
    with pytest.raises(LaunchError, match="TOLLBRIDGE_LAUNCH"):
        Launch.from_environment({} if text is None else {"TOLLBRIDGE_LAUNCH": text})


def test_options_read_back_as_they_were_written() -> None:
    options = ServeOptions(
        data_dir=Path("/d"), ready_file=Path("/r"), trusted_proxies=("10.0.0.0/8",), redis_url="redis://x", workers=3
    )
    assert ServeOptions.from_json(options.to_json()) == options
    assert {field.name for field in fields(ServeOptions)} >= {"database_url", "insecure"}


def test_waits_double_until_a_child_has_lived() -> None:
    back_off = BackOff()
    assert [back_off.after(1) for _ in range(4)] == [0.1, 0.2, 0.4, 0.8]
    assert [back_off.after(1) for _ in range(8)][-1] == 30.0
    assert back_off.after(61) == 0.1
