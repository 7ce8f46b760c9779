"""The command, as a user meets it in a terminal."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from orchestrator.settings import PROJECT, Settings

TIMEOUT_S = 60
NO_TRITON = "127.0.0.1:1"


def environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return {**inherited, **variables}


def goassist(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def start(*arguments: str, cwd: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *arguments],
        cwd=cwd,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def address(process: subprocess.Popen[str]) -> str:
    """Read its output until it names the page's address."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"Open (http://\S+/)", line):
            return found[1]
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("command", [[], ["up"], ["serve"], ["talk"]])
def test_help_explains_the_command(command: list[str], tmp_path: Path) -> None:
    result = goassist(*command, "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stdout.startswith("usage: goassist")
    assert len(result.stdout.split()) > 50


def test_wrong_usage_is_status_2(tmp_path: Path) -> None:
    for arguments in ([], ["dance"], ["up", "--port", "http"], ["serve", "--profile", "embedded"]):
        result = goassist(*arguments, cwd=tmp_path)
        assert result.returncode == 2
        assert result.stderr.startswith("usage: goassist")


def test_wrong_settings_are_named_one_a_line_without_a_traceback(tmp_path: Path) -> None:
    result = goassist("serve", cwd=tmp_path, API_PORT="http", LOG_LEVEL="loud")
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert [line.split()[1] for line in lines] == ["API_PORT", "LOG_LEVEL"]
    assert all(line.startswith("goassist: ") for line in lines)


def test_a_port_in_use_is_explained(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for command in ("serve", "up"):
            result = goassist(command, "--port", port, cwd=tmp_path)
            assert result.returncode == 1
            (line,) = result.stderr.splitlines()
            assert port in line
            assert "--port" in line


def test_an_address_that_is_none_is_explained(tmp_path: Path) -> None:
    for host in ("no host", "a..b", "192.0.2.1"):
        result = goassist("serve", "--host", host, cwd=tmp_path)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert host in line


def test_an_unknown_profile_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    result = goassist("up", "--profile", "embeded", "--port", "0", cwd=tmp_path)
    assert result.returncode == 1
    assert "'embeded'" in result.stderr
    assert "embedded" in result.stderr.replace("'embeded'", "")


def test_a_missing_model_stops_the_start_and_is_named(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    shutil.copytree(PROJECT / "model_repository", repository)
    shutil.rmtree(repository / "tts")
    result = goassist("up", "--port", "0", cwd=tmp_path, MODEL_REPOSITORY=str(repository))
    assert result.returncode == 1
    assert "'tts'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_broken_model_stops_the_start_and_is_named(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    shutil.copytree(PROJECT / "model_repository", repository)
    (repository / "tts" / "1" / "model.py").write_text("raise RuntimeError('broken on purpose')\n")
    ports = {f"TRITON_{name}_PORT": "0" for name in ("HTTP", "GRPC", "METRICS")}
    result = goassist("up", "--port", "0", cwd=tmp_path, MODEL_REPOSITORY=str(repository), **ports)
    assert result.returncode == 1
    error = result.stderr.splitlines()[-1]
    assert error.startswith("goassist: ")
    assert "'tts'" in error
    assert "broken on purpose" in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_without_triton_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    process = start("serve", "--port", "0", cwd=tmp_path, TRITON_URL=NO_TRITON)
    try:
        page = address(process)
        with urllib.request.urlopen(page + "livez", timeout=5) as answer:
            assert answer.status == 200
        process.send_signal(number)
        output, errors = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, errors
        assert "Stopped." in output
        assert "Traceback" not in errors
        port = int(page.rstrip("/").rpartition(":")[2])
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    finally:
        process.kill()
        process.communicate()


def test_an_interrupt_while_triton_starts_leaves_nothing(tmp_path: Path) -> None:
    shared_memory = set(os.listdir("/dev/shm"))
    ports = {f"TRITON_{name}_PORT": "0" for name in ("HTTP", "GRPC", "METRICS")}
    process = start("up", "--port", "0", cwd=tmp_path, **ports)
    try:
        assert process.stdout is not None
        assert "Starting Triton" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, errors
        assert "Stopped." in output
        assert "Traceback" not in errors
    finally:
        process.kill()
        process.communicate()
    assert {name for name in os.listdir("/dev/shm") if str(process.pid) in name} <= shared_memory
