import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "engines_gpu.py"


def run(path: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """The program where `path` is the only place that commands are looked for in."""
    environment = {"PATH": str(path), **variables}
    return subprocess.run([sys.executable, PROGRAM], env=environment, capture_output=True, text=True, timeout=60)


def test_without_a_gpu_it_says_so_and_that_is_no_failure(tmp_path: Path) -> None:
    skipped = run(tmp_path)
    assert skipped.returncode == 0
    assert skipped.stdout == "bench-gpu is skipped: no NVIDIA GPU is here (nvidia-smi finds none).\n"


def test_engines_whose_packages_are_missing_are_named_and_fail_it(tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho NVIDIA H100 80GB HBM3\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    failed = run(tmp_path, GPU_PYTHON="/bin/false")
    assert failed.returncode == 1
    assert failed.stdout == '{"gpu": "NVIDIA H100 80GB HBM3"}\n'
    assert failed.stderr.startswith("not measured: whisper, xtts, vllm; has /bin/false (GPU_PYTHON) their packages?")
