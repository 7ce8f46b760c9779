import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.triton.installation import Workspace, find_installation, open_workspace


def test_the_server_runs_with_the_environment_that_is_made_for_it() -> None:
    installation = find_installation()
    answer = subprocess.run(
        [installation.server, "--help"],
        env=installation.environment(os.environ),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,  # asking for help is an error to it
    )
    assert "--model-config-name" in answer.stdout + answer.stderr


def test_the_own_libraries_and_python_come_before_those_of_the_caller() -> None:
    installation = find_installation()
    environment = installation.environment({"LD_LIBRARY_PATH": "/theirs", "PATH": "/usr/bin", "KEPT": "yes"})
    assert environment["LD_LIBRARY_PATH"].split(":")[0] == str(installation.libraries)
    assert environment["LD_LIBRARY_PATH"].endswith(":/theirs")
    assert environment["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"
    assert environment["KEPT"] == "yes"


def test_a_missing_installation_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ConfigurationError, match="pip install --no-deps nvidia-pytriton=="):
        find_installation()


def test_a_workspace_is_removed_with_its_shared_memory() -> None:
    with open_workspace(find_installation()) as workspace:
        assert (workspace.backends / "python" / "triton_python_backend_stub").exists()
        region = Path("/dev/shm") / f"{workspace.shared_memory_prefix}test"
        region.touch()
    assert not workspace.folder.exists()
    assert not region.exists()


def test_a_workspace_in_use_survives_the_opening_of_another() -> None:
    installation = find_installation()
    with open_workspace(installation) as first, open_workspace(installation) as second:
        assert first.folder.exists()
        assert first.shared_memory_prefix != second.shared_memory_prefix


def test_an_abandoned_workspace_is_removed_at_the_next_opening() -> None:
    installation = find_installation()
    with open_workspace(installation) as workspace:
        abandoned = Workspace(workspace.folder.with_name(workspace.folder.name + "-abandoned"))
        abandoned.folder.mkdir()
        (abandoned.folder / "lock").touch()
        region = Path("/dev/shm") / f"{abandoned.shared_memory_prefix}test"
        region.touch()
        with open_workspace(installation):
            assert not abandoned.folder.exists()
            assert not region.exists()
