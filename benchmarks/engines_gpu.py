"""The engines at full size on an NVIDIA GPU: `make bench-gpu`.

Weights are random and full-size: how long a layer takes does not depend on its numbers, so these figures need no
download. What depends on them (how long an answer is) is fixed here. Each engine runs in a process of its own under
GPU_PYTHON, a Python that has the engines' GPU packages, such as that of deploy's Triton image. Whisper's are those of
requirements/engines-whisper.txt and cuBLAS, without torch; it takes about four minutes.

`--rehearse ENGINE` runs one with tiny shapes on the CPU, under the Python that runs this: it checks the program, and
its figures say nothing.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

ENGINES = ("whisper", "xtts", "vllm")
LLM_STREAMS = (1, 8, 32, 100)
LLM_PROMPT_TOKENS, LLM_ANSWER_TOKENS = 500, 60
TTS_STREAMS = (1, 2, 4, 8)
TTS_TEXT = "The train to the coast leaves in twenty minutes from platform nine, so there is time for a coffee."
TTS_ANSWER_TOKENS = 140
"""Of 46 ms each: about what a voice takes to say that."""
REPEATS = 5


def gpu_name() -> str | None:
    """The first GPU's name, None without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.splitlines()[0].strip() if result.returncode == 0 and result.stdout.strip() else None


# Whisper over CTranslate2 ------------------------------------------------------------------------------------------


def whisper(folder: Path, *, tiny: bool) -> Iterator[dict[str, Any]]:
    """`base` and the shape of large-v3-turbo: calls, batches, the project's engine, streams in real time."""
    from benchmarks import gpu_whisper

    yield from gpu_whisper.figures(folder, rehearsal=tiny)


# XTTS-v2 -----------------------------------------------------------------------------------------------------------


def xtts(folder: Path, *, tiny: bool) -> Iterator[dict[str, Any]]:
    """Requests side by side: the time to the first chunk, and seconds computed for each second of sound."""
    from benchmarks.asr import p95
    from engines.xtts import Xtts
    from tests.engines_heavy.tiny import xtts as weights

    weights.main(folder / "xtts", weights.configuration() if tiny else weights.full_configuration())
    engine = Xtts(folder / "xtts", device="cpu" if tiny else "cuda")
    # Random weights hardly ever choose the token that ends the speech: without a limit this sentence takes 28 s.
    engine._model.gpt.max_gen_mel_tokens = TTS_ANSWER_TOKENS

    def speak(figures: list[tuple[float, float]]) -> None:
        begun, first_s, samples = time.perf_counter(), 0.0, 0
        for chunk in engine.synthesize("Hello." if tiny else TTS_TEXT, voice=None, language="en", speed=1.0):
            first_s = first_s or time.perf_counter() - begun
            samples += len(chunk)
        figures.append((first_s, (time.perf_counter() - begun) / (samples / engine.sample_rate)))

    speak([])  # warms up
    for streams in TTS_STREAMS[:2] if tiny else TTS_STREAMS:
        figures: list[tuple[float, float]] = []
        for _ in range(1 if tiny else REPEATS):
            threads = [threading.Thread(target=speak, args=(figures,)) for _ in range(streams)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        firsts, factors = [first for first, _ in figures], [factor for _, factor in figures]
        yield {
            "streams": streams,
            "first_chunk_p50_ms": round(1e3 * statistics.median(firsts), 1),
            "first_chunk_p95_ms": round(1e3 * p95(firsts), 1),
            "rtf_p50": round(statistics.median(factors), 3),
        }


# vLLM --------------------------------------------------------------------------------------------------------------


def vllm(folder: Path, *, tiny: bool) -> Iterator[dict[str, Any]]:
    """Answers side by side from prompts that share nothing: the time to the first token, and tokens in all."""
    from benchmarks.asr import p95
    from engines.vllm_backend.engine import Engine
    from tests.engines_heavy.tiny import qwen2

    qwen2.main(folder / "qwen2")
    config = json.loads((folder / "qwen2" / "config.json").read_text())
    config["vocab_size"] = 152_064
    if not tiny:  # the shape of Qwen2.5-7B
        config |= {
            "hidden_size": 3_584, "intermediate_size": 18_944, "num_hidden_layers": 28, "num_attention_heads": 28,
            "num_key_value_heads": 4, "max_window_layers": 28, "layer_types": ["full_attention"] * 28,
        }  # fmt: skip
    (folder / "qwen2" / "config.json").write_text(json.dumps(config))
    arguments = {
        "model": str(folder / "qwen2"), "load_format": "dummy", "dtype": "bfloat16", "max_model_len": 2_048,
        "gpu_memory_utilization": 0.2 if tiny else 0.8, "enforce_eager": tiny,
    }  # fmt: skip
    engine = Engine(arguments)
    from engines.vllm_backend.sampling import sampling  # imports vLLM, for which the engine has made the process ready

    params = sampling({"temperature": 0, "max_tokens": LLM_ANSWER_TOKENS, "ignore_eos": True}, stream=True)
    numbers = count()

    async def answer() -> tuple[float, int]:
        prompt = f"{next(numbers)} " + "one two three four five " * (LLM_PROMPT_TOKENS // 5)
        begun, first_s, tokens = time.perf_counter(), 0.0, 0
        async with aclosing(engine.generate(prompt, params)) as outputs:
            async for output in outputs:
                first_s = first_s or time.perf_counter() - begun
                tokens += len(output.outputs[0].token_ids)
        return first_s, tokens

    async def answers(streams: int) -> list[tuple[float, int]]:
        return await asyncio.gather(*(answer() for _ in range(streams)))

    try:
        engine.submit(answers(1)).result()  # warms up
        for streams in LLM_STREAMS[:2] if tiny else LLM_STREAMS:
            firsts: list[float] = []
            begun, tokens = time.perf_counter(), 0
            for _ in range(1 if tiny else REPEATS):
                for first_s, answer_tokens in engine.submit(answers(streams)).result():
                    firsts.append(first_s)
                    tokens += answer_tokens
            yield {
                "streams": streams,
                "first_token_p50_ms": round(1e3 * statistics.median(firsts), 1),
                "first_token_p95_ms": round(1e3 * p95(firsts), 1),
                "tokens_per_s": round(tokens / (time.perf_counter() - begun)),
            }
    finally:
        engine.close()


def measure(engine: str, *, tiny: bool) -> None:
    """Print one engine's figures, a JSON object a line."""
    with tempfile.TemporaryDirectory(prefix="goassist-bench-") as folder:
        for figures in {"whisper": whisper, "xtts": xtts, "vllm": vllm}[engine](Path(folder), tiny=tiny):
            print(json.dumps({"engine": engine, **figures}), flush=True)


def measured_by(python: str, engine: str) -> bool:
    """Measure one engine in a process of its own; whether that went well."""
    from benchmarks import gpu_libraries

    with tempfile.TemporaryDirectory(prefix="goassist-bench-") as links:
        variables = gpu_libraries.environment(python, Path(links)) if engine == "whisper" else None
        return subprocess.run([python, __file__, "--measure", engine], env=variables, check=False).returncode == 0


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ENGINES, action="append", help="only this one, or these")
    parser.add_argument("--rehearse", choices=ENGINES, help="this one with tiny shapes on the CPU")
    parser.add_argument("--measure", choices=ENGINES, help=argparse.SUPPRESS)  # in this process
    options = parser.parse_args()
    if options.rehearse or options.measure:
        measure(options.rehearse or options.measure, tiny=bool(options.rehearse))
        return 0
    gpu = gpu_name()
    if gpu is None:
        print("bench-gpu is skipped: no NVIDIA GPU is here (nvidia-smi finds none).")
        return 0
    print(json.dumps({"gpu": gpu}), flush=True)
    python = os.environ.get("GPU_PYTHON", "python3")
    failed = [engine for engine in options.engine or ENGINES if not measured_by(python, engine)]
    if failed:
        print(f"not measured: {', '.join(failed)}; has {python} (GPU_PYTHON) their packages?", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
