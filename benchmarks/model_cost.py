"""What Triton costs: the first chunk through Triton against the engine called directly. `make bench-models`.

Each engine runs twice, in a Triton and in a process beside it, which asks both in turn: so whatever else the machine
does falls on both. vLLM, of which two would stand in each other's way, runs in Triton alone, and its model tells what
it took of each request. The way through Triton is the orchestrator's own client, from the request to the first
response. The engines of the profile `cpu` run on tiny random weights, where Triton's share is the largest; without
.venvs/cpu (`deploy/setup/engines.sh cpu`) they are left out.

usage: python -m benchmarks.model_cost [ENGINE…] [--pairs 200]
"""

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CPU_PYTHON = ROOT / ".venvs" / "cpu" / "bin" / "python"
EMBEDDED, CPU = ("flite", "eliza", "pocketsphinx", "smart-turn"), ("kokoro", "vllm", "whisper")
MODELS = {"flite": "tts", "eliza": "llm", "pocketsphinx": "asr", "smart-turn": "turn"}
MODELS |= {"kokoro": "tts", "vllm": "llm", "whisper": "asr"}
TINY = {"kokoro": "kokoro.py", "vllm": "qwen2.py", "whisper": "whisper.py"}
VLLM = {"VLLM_CPU_KVCACHE_SPACE": "1"}  # GiB
BELIEVED = {"log_prob_threshold": "-1000", "compression_ratio_threshold": "1000", "threads": "1"}


def main() -> None:
    """Start a Triton for each profile, measure, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_cost", description=__doc__.splitlines()[0])
    parser.add_argument("engines", nargs="*", choices=[*EMBEDDED, *CPU, []], default=[])
    parser.add_argument("--pairs", type=int, default=200, help="requests each way (200)")
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ask", nargs=2, metavar=("URL", "METRICS_URL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        from benchmarks.model_cost_engines import compare

        (engine,), (url, metrics_url) = options.engines, options.ask
        print(json.dumps(asyncio.run(compare(engine, url, metrics_url, options.weights, options.pairs))))
        return
    chosen = options.engines or [*EMBEDDED, *CPU]
    if not CPU_PYTHON.is_file() and set(chosen) & set(CPU):
        print(f"without .venvs/cpu there is no {', '.join(CPU)}: deploy/setup/engines.sh cpu makes it", file=sys.stderr)
        chosen = [name for name in chosen if name in EMBEDDED]
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure(chosen, Path(folder), options.pairs))
    names = {"direct_ms": "directly", "triton_ms": "in Triton", "added_ms": "added", "added_p95_ms": "added p95"}
    print(f"Median ms of {options.pairs} pairs; MB of the model's processes")
    print(f"{'':<14}" + "".join(f"{name:>12}" for name in [*names.values(), "memory"]))
    for row in rows:
        figures = "".join(f"{row[name]:12.2f}" for name in names)
        print(f"{row['engine']:<14}{figures}{row['memory_mb']:12.0f}  {row['what']}")


async def measure(chosen: list[str], folder: Path, pairs: int) -> list[dict[str, Any]]:
    """A row of figures for each engine."""
    from orchestrator.triton.embedded import EmbeddedTriton, Ports

    rows = []
    weights = {name: tiny_weights(name, folder) for name in chosen if name in CPU}
    for profile, engines in (("embedded", EMBEDDED), ("cpu", CPU)):
        wanted = [name for name in engines if name in chosen]
        if not wanted:
            continue
        repository = ROOT / "model_repository"
        python = None
        if profile == "cpu":
            repository, python = tiny_repository(folder, weights), CPU_PYTHON.parents[1]
        served = EmbeddedTriton(
            repository,
            config_name=profile,
            ports=Ports(0, 0, 0),
            python=python,
            environment=VLLM,
            start_timeout_s=600,
        )
        async with served as triton:
            for name in wanted:
                row = await ask(name, triton.grpc_url, triton.metrics_url, weights.get(name), pairs)
                assert triton.pid is not None
                rows.append(row | {"memory_mb": memory_mb(triton.pid, MODELS[name])})
    return rows


async def ask(name: str, url: str, metrics_url: str, weights: Path | None, pairs: int) -> dict[str, Any]:
    """Measure one engine in a process of its own, in the Python that has it."""
    python = CPU_PYTHON if name in CPU else Path(sys.executable)
    command = [str(python), "-m", "benchmarks.model_cost", name, "--ask", url, metrics_url]
    command += ["--pairs", str(pairs)]
    command += ["--weights", str(weights)] if weights else []
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE, stderr=None)
    output, _ = await process.communicate()
    if process.returncode:
        sys.exit(f"{name} could not be measured")
    row: dict[str, Any] = json.loads(output.decode().splitlines()[-1])
    return row


def memory_mb(server: int, model: str) -> float:
    """What the model's processes hold, shared memory in proportion (PSS); Triton itself is not in it."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    (process,) = [pid for pid in children[server] if f"/{model}/1/" in Path(f"/proc/{pid}/cmdline").read_text()]
    held, family = 0.0, [process]
    while family:
        pid = family.pop()
        family += children.get(pid, [])
        found = re.search(r"^Pss: +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        held += int(found[1]) / 1024 if found else 0
    return held


def tiny_weights(engine: str, folder: Path) -> Path:
    """Random weights, made in the engine's environment as the tests do."""
    script = ROOT / "tests" / "engines_heavy" / "tiny" / TINY[engine]
    weights = folder / "weights" / engine
    weights.mkdir(parents=True)
    subprocess.run([CPU_PYTHON, script, weights], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return weights


def tiny_repository(folder: Path, weights: dict[str, Path]) -> Path:
    """The models that have weights, with the profile `cpu` on those."""
    repository = folder / "model_repository"
    for engine, path in weights.items():
        copied = shutil.copytree(ROOT / "model_repository" / MODELS[engine], repository / MODELS[engine])
        if engine == "vllm":
            (copied / "1" / "cpu.json").write_text(json.dumps(vllm_arguments(path)))
            continue
        values = {"model_path": str(path), **(BELIEVED if engine == "whisper" else {})}
        profile = copied / "configs" / "cpu.pbtxt"
        kept = [line for line in profile.read_text().splitlines() if 'key: "model_path"' not in line]
        kept += [
            f'parameters {{ key: "{name}" value {{ string_value: "{value}" }} }}' for name, value in values.items()
        ]
        profile.write_text("\n".join(kept))
    return repository


def vllm_arguments(weights: Path) -> dict[str, Any]:
    """vLLM's engine arguments."""
    return {
        "model": str(weights),
        "dtype": "bfloat16",
        "max_model_len": 2048,
        "max_num_seqs": 16,
        "gpu_memory_utilization": 0.2,
        "enforce_eager": True,
    }


if __name__ == "__main__":
    main()
