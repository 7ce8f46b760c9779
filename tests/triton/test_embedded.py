import asyncio
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.triton import embedded
from orchestrator.triton.client import TritonClient
from orchestrator.triton.embedded import EmbeddedTriton, Ports, TritonState
from tests.servers.triton import ROOT, TEST_MODELS

ANY_PORTS = Ports(0, 0, 0)
SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one light model, `streams`, for a test to break."""
    shutil.copytree(TEST_MODELS / "streams", tmp_path / "models" / "streams")
    return tmp_path / "models"


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where workspaces are made; other servers of the machine have theirs elsewhere."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def regions(folder: Path) -> list[Path]:
    """Shared memory of the servers whose workspaces are, or were, in a folder."""
    return [region for workspace in folder.iterdir() for region in SHARED_MEMORY.glob(f"{workspace.name}-*")]


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.05)


async def test_a_server_is_ready_when_it_is_entered_and_stopped_when_it_is_left(repository: Path) -> None:
    states: list[TritonState] = []
    async with EmbeddedTriton(repository, ports=ANY_PORTS, on_state=states.append) as triton:
        pid = triton.pid
        assert pid is not None
        client = TritonClient(triton.grpc_url)
        assert await client.server_ready()
        assert await client.model_ready("streams")
        assert not await client.model_ready("nonsense")
        await client.close()
        assert triton.state is TritonState.READY
    assert states == [TritonState.STARTING, TritonState.READY, TritonState.STOPPED]
    assert not Path(f"/proc/{pid}").exists()
    assert triton.pid is None


async def test_nothing_is_left_of_a_stopped_server(repository: Path, own_temporary_folder: Path) -> None:
    async with EmbeddedTriton(repository, ports=ANY_PORTS) as triton:
        (workspace,) = own_temporary_folder.iterdir()
        assert regions(own_temporary_folder)
        ports = triton.ports
    assert not list(own_temporary_folder.iterdir())
    assert not list(SHARED_MEMORY.glob(f"{workspace.name}-*"))
    assert ports.resolve() == ports  # they can be bound again


async def test_the_server_is_in_a_process_group_of_its_own_so_that_ctrl_c_passes_it_by(repository: Path) -> None:
    async with EmbeddedTriton(repository, ports=ANY_PORTS) as triton:
        assert triton.pid is not None
        assert os.getpgid(triton.pid) == triton.pid != os.getpgid(0)


async def test_a_server_that_dies_is_restarted_at_the_same_addresses(repository: Path) -> None:
    changes: asyncio.Queue[TritonState] = asyncio.Queue()
    async with EmbeddedTriton(repository, ports=ANY_PORTS, on_state=changes.put_nowait) as triton:
        first, address = triton.pid, triton.grpc_url
        assert first is not None
        while changes.get_nowait() is not TritonState.READY:
            pass
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(30):
            assert [await changes.get() for _ in range(3)] == [
                TritonState.DOWN,
                TritonState.STARTING,
                TritonState.READY,
            ]
        assert triton.pid != first
        assert triton.grpc_url == address
        client = TritonClient(address)
        assert await client.model_ready("streams")
        await client.close()


async def test_a_model_whose_process_dies_is_brought_back(repository: Path) -> None:
    changes: asyncio.Queue[TritonState] = asyncio.Queue()
    async with EmbeddedTriton(repository, ports=ANY_PORTS, on_state=changes.put_nowait) as triton:
        while changes.get_nowait() is not TritonState.READY:
            pass
        threads = Path(f"/proc/{triton.pid}/task").glob("*/children")
        model = next(int(pid) for thread in threads for pid in thread.read_text().split())
        os.kill(model, signal.SIGKILL)
        async with asyncio.timeout(30):
            while await changes.get() is not TritonState.READY:
                pass
        client = TritonClient(triton.grpc_url)
        assert await client.model_ready("streams")
        await client.close()


async def test_a_lack_of_descriptors_is_not_taken_for_the_death_of_a_model_and_ends_no_supervision(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "MODELS_CHECK_S", 0.05)
    changes: asyncio.Queue[TritonState] = asyncio.Queue()
    async with EmbeddedTriton(repository, ports=ANY_PORTS, on_state=changes.put_nowait) as triton:
        while changes.get_nowait() is not TritonState.READY:
            pass
        pid = triton.pid
        assert pid is not None
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            await asyncio.sleep(0.5)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await asyncio.sleep(0.5)
        assert triton.pid == pid
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            while await changes.get() is not TritonState.READY:
                pass


async def test_a_server_that_cannot_be_restarted_is_tried_again_until_it_can(repository: Path) -> None:
    changes: asyncio.Queue[TritonState] = asyncio.Queue()
    async with EmbeddedTriton(repository, ports=ANY_PORTS, on_state=changes.put_nowait) as triton:
        assert triton.pid is not None
        model = repository / "streams" / "1" / "model.py"
        working = model.read_text()
        model.write_text("raise RuntimeError('broken meanwhile')")
        os.kill(triton.pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            while await changes.get() is not TritonState.DOWN:
                pass
            while await changes.get() is not TritonState.DOWN:
                pass
            model.write_text(working)
            while await changes.get() is not TritonState.READY:
                pass


async def test_a_server_whose_process_cannot_even_be_started_is_tried_again_until_it_can(
    repository: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "disk"
    shutil.copytree(repository, folder / "models")
    changes: asyncio.Queue[TritonState] = asyncio.Queue()
    async with EmbeddedTriton(folder / "models", ports=ANY_PORTS, on_state=changes.put_nowait) as triton:
        assert triton.pid is not None
        folder.rename(tmp_path / "elsewhere")  # where it would run is not there
        os.kill(triton.pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            for _ in range(2):
                while await changes.get() is not TritonState.DOWN:
                    pass
            (tmp_path / "elsewhere").rename(folder)
            while await changes.get() is not TritonState.READY:
                pass


async def test_leaving_while_the_server_is_down_ends_the_restarts(repository: Path) -> None:
    changes: asyncio.Queue[TritonState] = asyncio.Queue()
    async with asyncio.timeout(30), EmbeddedTriton(repository, ports=ANY_PORTS, on_state=changes.put_nowait) as triton:
        assert triton.pid is not None
        os.kill(triton.pid, signal.SIGKILL)
        while await changes.get() is not TritonState.DOWN:
            pass
    assert triton.state is TritonState.STOPPED
    assert triton.pid is None


async def test_a_missing_model_fails_the_start_by_name(repository: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'asr' is missing.*/models/asr"):
        async with EmbeddedTriton(repository, models=["asr"], ports=ANY_PORTS):
            pass


async def test_a_model_without_a_configuration_fails_the_start_by_name(repository: Path) -> None:
    (repository / "streams" / "config.pbtxt").unlink()
    with pytest.raises(ConfigurationError, match=r"'streams' has no configuration: restore .*embedded\.pbtxt"):
        async with EmbeddedTriton(repository, ports=ANY_PORTS):
            pass


async def test_a_model_without_a_version_fails_the_start_by_name(repository: Path) -> None:
    shutil.rmtree(repository / "streams" / "1")
    with pytest.raises(ConfigurationError, match=r"'streams' has no version"):
        async with EmbeddedTriton(repository, ports=ANY_PORTS):
            pass


async def test_a_model_without_its_code_fails_the_start_by_name(repository: Path) -> None:
    (repository / "streams" / "1" / "model.py").unlink()
    with pytest.raises(ConfigurationError, match=r"'streams'.*model\.py does not exist"):
        async with asyncio.timeout(15), EmbeddedTriton(repository, ports=ANY_PORTS):
            pass


async def test_a_model_that_fails_to_load_fails_the_start_with_its_own_words(repository: Path) -> None:
    (repository / "streams" / "1" / "model.py").write_text("raise RuntimeError('run make voices first')")
    with pytest.raises(ConfigurationError, match=r"'streams'.*run make voices first"):
        async with EmbeddedTriton(repository, ports=ANY_PORTS):
            pass


async def test_a_configuration_that_cannot_be_read_fails_the_start_by_name(repository: Path) -> None:
    (repository / "streams" / "config.pbtxt").write_text("name: [")
    with pytest.raises(ConfigurationError, match=r"'streams'.*failed to read text proto"):
        async with EmbeddedTriton(repository, ports=ANY_PORTS):
            pass


async def test_a_repository_that_is_not_there_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no model repository at"):
        EmbeddedTriton(tmp_path / "nowhere", ports=ANY_PORTS)


async def test_a_port_in_use_fails_the_start_by_its_number(repository: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"Port {port}, wanted for Triton's grpc service"):
            async with EmbeddedTriton(repository, ports=Ports(0, port, 0)):
                pass


async def test_a_start_that_takes_too_long_is_given_up_and_cleaned_up(
    repository: Path, own_temporary_folder: Path
) -> None:
    (repository / "streams" / "1" / "model.py").write_text("import time\ntime.sleep(60)")
    with pytest.raises(ConfigurationError, match=r"not ready after 2 s; still loading: streams"):
        async with EmbeddedTriton(repository, ports=ANY_PORTS, start_timeout_s=2):
            pass
    assert not list(own_temporary_folder.iterdir())


async def test_a_failed_start_leaves_nothing(repository: Path, own_temporary_folder: Path) -> None:
    (repository / "streams" / "1" / "model.py").write_text("raise RuntimeError('broken')")
    before = set(SHARED_MEMORY.iterdir())
    with pytest.raises(ConfigurationError):
        async with EmbeddedTriton(repository, ports=ANY_PORTS):
            pass
    assert not list(own_temporary_folder.iterdir())
    assert not [region for region in set(SHARED_MEMORY.iterdir()) - before if "goassist-triton" in region.name]


RUN_AND_TELL = """
import asyncio, sys
from pathlib import Path
from orchestrator.triton.embedded import EmbeddedTriton, Ports

async def main():
    async with EmbeddedTriton(Path(sys.argv[1]), ports=Ports(0, 0, 0), stop_timeout_s=1) as triton:
        print(triton.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_server_dies_with_a_killed_parent_and_the_next_start_removes_what_it_left(
    repository: Path, own_temporary_folder: Path
) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", RUN_AND_TELL, str(repository)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        pid = int(await asyncio.to_thread(parent.stdout.readline))
    finally:
        parent.kill()
        parent.communicate()
    await until_gone(pid)
    (left,) = own_temporary_folder.iterdir()
    (SHARED_MEMORY / f"{left.name}-region").touch()
    async with EmbeddedTriton(repository, ports=ANY_PORTS):
        assert left not in own_temporary_folder.iterdir()
        assert not list(SHARED_MEMORY.glob(f"{left.name}-*"))
    assert not list(own_temporary_folder.iterdir())


async def test_a_stuck_server_dies_with_a_killed_parent_too(repository: Path, own_temporary_folder: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", RUN_AND_TELL, str(repository)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        os.kill(pid, signal.SIGSTOP)  # it does not answer any signal but SIGKILL
    finally:
        parent.kill()
        parent.communicate()
    await until_gone(pid)


async def test_two_servers_run_side_by_side_without_touching_each_other(repository: Path) -> None:
    async with EmbeddedTriton(repository, ports=ANY_PORTS) as first:
        async with EmbeddedTriton(repository, ports=ANY_PORTS) as second:
            assert first.ports != second.ports
        client = TritonClient(first.grpc_url)
        assert await client.model_ready("streams")
        await client.close()
