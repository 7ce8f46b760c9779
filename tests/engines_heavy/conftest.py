"""The engines that need an environment of their own, each in a real Triton on random weights that are made here.

`make test-engines` builds the environments in .venvs and runs these tests; a plain pytest run leaves them out.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.servers.triton import MODEL_REPOSITORY, ROOT, RunningTriton, run_triton

ENVIRONMENTS = ROOT / ".venvs"
WEIGHTS = ROOT / ".cache" / "tiny"
START_TIMEOUT_S = 400.0

Serve = Callable[..., AbstractContextManager[RunningTriton]]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out unless the command line asks for it."""
    asked = "engines" in config.getoption("-m") or any("engines_heavy" in argument for argument in config.args)
    return None if asked else True


def environment(name: str) -> Path:
    """Return the folder of the environment that has the engine `name`; skip the test where there is none."""
    for folder in (ENVIRONMENTS / name, *([ENVIRONMENTS / "cpu"] if name != "xtts" else [])):
        if (folder / "ready").is_file():
            return folder
    pytest.skip(f"the environment .venvs/{name} is not there: run `make test-engines`")


def tiny_weights(script: str, environment_folder: Path) -> Path:
    """Return a folder of weights made by tiny/`script` in that environment, from .cache where they have been made."""
    source = Path(__file__).with_name("tiny") / script
    folder = WEIGHTS / f"{source.stem}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        unfinished = WEIGHTS / f"making-{source.stem}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        subprocess.run([environment_folder / "bin" / "python", source, unfinished], check=True, timeout=300)
        for outdated in WEIGHTS.glob(f"{source.stem}-*"):  # made by an earlier form of the script
            shutil.rmtree(outdated)
        unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """A Triton that runs one of the project's models in an engine's environment; see `start`."""

    @contextmanager
    def start(
        model: str,
        engine: str,
        *,
        configuration: str | None = None,
        files: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Iterator[RunningTriton]:
        """Serve `model` in the environment `engine`, from a copy of its folder.

        `configuration` changes configs/cpu.pbtxt: its text takes the place of the profile's. `files` are written into
        the version's folder, `variables` added to the server's environment.
        """
        environment(engine)  # skips
        repository = tmp_path_factory.mktemp(engine)
        folder = repository / model
        shutil.copytree(MODEL_REPOSITORY / model, folder, ignore=shutil.ignore_patterns("__pycache__"))
        if configuration is not None:
            (folder / "configs" / "cpu.pbtxt").write_text(configuration)
        for name, text in (files or {}).items():
            (folder / "1" / name).write_text(text)
        with run_triton(
            repository,
            config_name="cpu",
            start_timeout_s=START_TIMEOUT_S,
            python=environment(engine),
            environment=variables,
        ) as running:
            yield running

    return start


def configured(model: str, profile: str, **parameters: str) -> str:
    """Return the text of a profile's configuration with other values for some of its parameters."""
    text = (MODEL_REPOSITORY / model / "configs" / f"{profile}.pbtxt").read_text()
    for name, value in parameters.items():
        lines = [line for line in text.splitlines() if f'key: "{name}"' not in line]
        lines.append(f'parameters {{ key: "{name}" value {{ string_value: "{value}" }} }}')
        text = "\n".join(lines) + "\n"
    return text
