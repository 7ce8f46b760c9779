"""The Dockerfiles: linted, and what a linter does not see."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = [ROOT / "orchestrator" / "Dockerfile", ROOT / "engines" / "Dockerfile"]
LET_THROUGH = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]

each_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instructions and their arguments, continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(name, arguments) for name, arguments in pairs]


def stages(path: Path) -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage, by its name, the last one's being ""."""
    found: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for name, arguments in instructions(path):
        if name == "FROM":
            current = found.setdefault(arguments.partition(" AS ")[2], [])
        current.append((name, arguments))
    return found


def test_no_dockerfile_is_forgotten() -> None:
    tracked = subprocess.run(["git", "ls-files", "*Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {ROOT / line for line in tracked.stdout.splitlines()} <= set(DOCKERFILES)


@each_dockerfile
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    lint = subprocess.run(
        [Path(sys.executable).parent / "hadolint", "-c", ROOT / ".hadolint.yaml", path], capture_output=True, text=True
    )
    assert lint.returncode == 0, lint.stdout


@each_dockerfile
def test_what_runs_is_not_root_and_knows_whether_it_is_healthy(path: Path) -> None:
    running = {name: lines for name, lines in stages(path).items() if any(each == "CMD" for each, _ in lines)}
    assert running
    for lines in running.values():
        users = [arguments for name, arguments in lines if name == "USER"]
        assert re.fullmatch(r"[1-9]\d*(:\d+)?", users[-1]), "a number, which Kubernetes can see is not root's"
        assert any(name == "HEALTHCHECK" for name, _ in lines)


@each_dockerfile
def test_base_images_are_pinned(path: Path) -> None:
    for name, arguments in instructions(path):
        if name == "FROM":
            assert re.search(r":\d+\.\d+[\w.-]*$", arguments.split()[0]), arguments


@pytest.mark.parametrize("stage", ["gpu", "cpu"])
def test_speech_to_speech_can_ask_the_other_models_of_its_image(stage: str) -> None:
    """Without TRITON_URL it asks by a way that Triton's Python 3.12 does not bear, with it by tritonclient."""
    lines = stages(ROOT / "engines" / "Dockerfile")[stage]
    assert any(name == "ENV" and "TRITON_URL=127.0.0.1:8001" in arguments.split() for name, arguments in lines)
    copied = " ".join(arguments for name, arguments in lines if name == "COPY")
    requirements = [(ROOT / path).read_text() for path in re.findall(r"requirements/[\w-]+\.txt", copied)]
    for package in ("tritonclient", "grpcio", "python-rapidjson"):
        assert any(re.search(rf"^{package}==", text, re.MULTILINE) for text in requirements), package


@each_dockerfile
def test_what_is_copied_exists_and_is_let_through(path: Path) -> None:
    for name, arguments in instructions(path):
        if name == "COPY" and "--from" not in arguments:
            for source in arguments.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(fnmatch(source, f"{pattern}*") for pattern in LET_THROUGH), f"{source}: see .dockerignore"
