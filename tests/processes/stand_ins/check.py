"""Says that the settings are good, or what STAND_IN_CHECK says."""

from cli.launch import Launch
from tests.processes.stand_ins import fail_if_told

if __name__ == "__main__":
    assert Launch.from_environment().result_fd is None
    fail_if_told("STAND_IN_CHECK")
