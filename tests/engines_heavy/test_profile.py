"""The profile `cpu` as a user starts it, by `goassist up`: all of its engines in one Triton, on tiny weights."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from orchestrator.settings import Settings
from orchestrator.triton.client import TritonClient
from tests.engines_heavy.conftest import configured, environment, tiny_weights
from tests.servers.triton import MODEL_REPOSITORY, ROOT
from tests.triton.metrics import until_metric
from tests.triton.test_speech_to_speech import example, recording

pytestmark = [pytest.mark.engines, pytest.mark.timeout(500)]
QUESTION = ROOT / "tests" / "audio" / "what_time_is_it.wav"
BELIEVED = {"log_prob_threshold": "-1000", "compression_ratio_threshold": "1000", "threads": "1"}


def goassist(*arguments: str, cwd: Path, **variables: str) -> "subprocess.Popen[str]":
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    free = {f"TRITON_{name}_PORT": "0" for name in ("HTTP", "GRPC", "METRICS")}
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *arguments],
        cwd=cwd,
        env={**inherited, **free, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose weights are the tiny ones, some relative to the folder around it, as the real ones are."""
    root = tmp_path_factory.mktemp("cpu")
    folder = root / "model_repository"
    shutil.copytree(MODEL_REPOSITORY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "models").mkdir()
    (root / "models" / "turn").symlink_to(ROOT / "models" / "turn")  # the set-up's
    for name, engine, script in (("asr", "whisper", "whisper.py"), ("tts", "kokoro", "kokoro.py")):
        (root / "models" / name).symlink_to(tiny_weights(script, environment(engine)))
    recognition = configured("asr", "cpu", model_path="models/asr", **BELIEVED)
    (folder / "asr" / "configs" / "cpu.pbtxt").write_text(recognition)
    (folder / "tts" / "configs" / "cpu.pbtxt").write_text(configured("tts", "cpu", model_path="models/tts"))
    arguments = json.loads((folder / "llm" / "1" / "cpu.json").read_text())
    arguments |= {"model": str(tiny_weights("qwen2.py", environment("vllm"))), "max_model_len": 2048}
    (folder / "llm" / "1" / "cpu.json").write_text(json.dumps(arguments))
    return folder


@dataclass(frozen=True, slots=True)
class Agent:
    """A running `goassist up`, and its Triton."""

    page: str
    metrics_url: str
    grpc_url: str


@pytest.fixture(scope="module")
def agent(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    if not (ROOT / ".venvs" / "cpu" / "ready").is_file():
        pytest.skip("the environment .venvs/cpu is not there: run `make test-engines`")
    variables = {"MODEL_REPOSITORY": str(repository), "VLLM_CPU_KVCACHE_SPACE": "1"}
    process = goassist("up", "--profile", "cpu", "--port", "0", cwd=tmp_path_factory.mktemp("elsewhere"), **variables)
    try:
        assert process.stdout is not None
        output = ""
        for line in process.stdout:
            output += line
            if found := re.search(r"Open (http://\S+?)/? ", line):
                break
        else:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read())
        triton = json.loads(page(found[1] + "/health"))["components"]["triton"]
        yield Agent(found[1], triton["metrics_url"], triton["url"])
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in errors


async def test_one_command_serves_the_profile_and_a_spoken_turn_is_answered(agent: Agent, tmp_path: Path) -> None:
    saved = tmp_path / "answer.wav"
    talk = goassist("talk", str(QUESTION), "--url", agent.page, "--save", str(saved), cwd=tmp_path)
    output, errors = talk.communicate(timeout=90)
    assert talk.returncode == 0, errors
    assert re.search(r" you +\S", output)
    assert "→ speaking" in output
    with wave.open(str(saved)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert np.abs(sound).max() > 1_000


def test_a_client_that_has_only_triton_gets_a_whole_turn(agent: Agent) -> None:
    pieces = list(example.converse(agent.grpc_url, recording("what_time_is_it")))
    told = [piece.event["type"] for piece in pieces if piece.event]
    assert (told[0], told[-1]) == ("transcript", "done")
    assert told.count("text_delta") > 3
    assert {piece.sample_rate for piece in pieces if len(piece.audio)} == {24_000}


@pytest.mark.parametrize("model", ["asr", "llm", "speech_to_speech", "tts", "turn"])
async def test_every_model_of_the_profile_counts_on_tritons_metrics_page(agent: Agent, model: str) -> None:
    if model == "turn":
        client = TritonClient(agent.grpc_url)
        audio = recording("what_time_is_it")[np.newaxis]
        assert [response async for response in client.stream("turn", {"audio": audio}, timeout_s=20)]
        await client.close()
    names = ["first_chunk_seconds_count", "first_chunk_seconds_sum"]
    names += {
        "asr": ["audio_input_seconds_total", "real_time_factor", "decode_batches_total", "decoded_windows_total"],
        "llm": ["input_tokens_total", "output_tokens_total"],
        "speech_to_speech": ["audio_input_seconds_total", "audio_output_seconds_total", "real_time_factor"],
        "tts": ["audio_output_seconds_total", "engine_seconds_total", "real_time_factor"],
        "turn": ["audio_input_seconds_total", "engine_seconds_total", "real_time_factor"],
    }[model]
    for name in names:
        assert await until_metric(agent.metrics_url, f"goassist_{model}_{name}", 1e-9) > 0, name
    text = page(agent.metrics_url)
    for name in ("cancelled_total", "failed_total"):
        assert f"goassist_{model}_{name}" in text
    if model == "llm":
        assert await until_metric(agent.metrics_url, "vllm:time_to_first_token_seconds_count", 1) > 0


def page(url: str) -> str:
    try:
        answered = urllib.request.urlopen(url, timeout=10)
    except urllib.error.HTTPError as error:  # /health is 503 while something is missing, and says what
        answered = error
    with answered:
        text: str = answered.read().decode()
    return text


def test_without_weights_it_says_how_to_get_them(tmp_path: Path) -> None:
    environment("vllm")
    shutil.copytree(MODEL_REPOSITORY, tmp_path / "model_repository", ignore=shutil.ignore_patterns("__pycache__"))
    started = goassist(
        "up", "--profile", "cpu", "--port", "0", cwd=tmp_path, MODEL_REPOSITORY=str(tmp_path / "model_repository")
    )
    _, errors = started.communicate(timeout=120)
    told = [line for line in errors.splitlines() if line.startswith("goassist: ")]
    assert started.returncode == 1
    assert {name for name in ("asr", "llm", "tts") if any(f"'{name}'" in line for line in told)} == {
        "asr",
        "llm",
        "tts",
    }
    assert "`goassist models pull --profile cpu`" in told[-1]


def test_another_servers_language_model_leaves_tritons_out(repository: Path, tmp_path: Path) -> None:
    environment("vllm")
    variables = {"MODEL_REPOSITORY": str(repository), "LLM_BASE_URL": "http://127.0.0.1:9/v1"}
    process = goassist("up", "--profile", "cpu", "--port", "0", cwd=tmp_path, **variables)
    try:
        assert process.stdout is not None
        address = next(found[1] for line in process.stdout if (found := re.search(r"Open (http://\S+?)/? ", line)))
        triton = json.loads(page(address + "/health"))["components"]["triton"]
        served = page(triton["metrics_url"])
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert "goassist_asr_failed_total" in served
    assert "goassist_llm_failed_total" not in served
    assert "goassist_speech_to_speech_failed_total" not in served


def test_a_python_that_cannot_run_the_models_is_named(tmp_path: Path) -> None:
    for folder, reason in ((tmp_path / "nowhere", "no virtual environment"), (Path("/usr"), "cannot run in /usr")):
        started = goassist("up", "--port", "0", cwd=tmp_path, TRITON_PYTHON=str(folder))
        _, errors = started.communicate(timeout=60)
        assert started.returncode == 1
        assert reason in errors.splitlines()[-1]
