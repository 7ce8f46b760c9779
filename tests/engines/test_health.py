"""engines/health.py: a model whose process has died, which Triton itself does not notice, is found."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engines import health
from orchestrator.triton import embedded
from orchestrator.triton.embedded import EmbeddedTriton, Ports
from tests.servers.triton import MODEL_REPOSITORY, ROOT, RunningTriton


def check(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, as a container's health check runs it."""
    command = [sys.executable, "-m", "engines.health", "--url", url, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90)


@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:9"])
def test_a_server_whose_models_all_answer_is_healthy(
    triton: RunningTriton, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    checked = check(triton.grpc_url)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_model_of_ours_is_asked() -> None:
    assert health.QUESTIONS.keys() == {path.name for path in MODEL_REPOSITORY.iterdir()}


def test_a_server_that_is_not_there_is_unhealthy_and_nothing_is_ended() -> None:
    checked = check("127.0.0.1:9", "--end", str(os.getpid()))
    assert checked.returncode == 1
    assert "127.0.0.1:9 cannot be asked" in checked.stderr


async def test_a_dead_model_is_told_and_its_server_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "MODELS_CHECK_S", 300.0)  # nobody else mends it, as in a container
    for model in ("llm", "tts"):
        shutil.copytree(MODEL_REPOSITORY / model, tmp_path / model, ignore=shutil.ignore_patterns("__pycache__"))
    async with EmbeddedTriton(tmp_path, ports=Ports(0, 0, 0)) as triton:
        assert triton.pid is not None
        assert (await asyncio.to_thread(check, triton.grpc_url)).returncode == 0
        (process,) = [pid for pid in children(triton.pid) if " llm_0_0 " in command_line(pid)]
        os.kill(process, signal.SIGKILL)
        with subprocess.Popen(["sleep", "600"]) as server:
            checked = await asyncio.to_thread(check, triton.grpc_url, "--end", str(server.pid))
            assert server.wait(5) == -signal.SIGTERM
        assert checked.returncode == 1
        assert "the model 'llm' does not answer: Stub process" in checked.stderr
        assert "'tts'" not in checked.stderr


def test_a_server_that_is_stuck_under_a_containers_first_process_is_ended() -> None:
    with subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600; exit 3"]) as first:
        while not (servers := children(first.pid)):
            time.sleep(0.01)
        os.kill(servers[0], signal.SIGSTOP)
        health.end(first.pid)
        assert first.wait(5) == 3, "as soon as what it has started has ended"


def children(pid: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
