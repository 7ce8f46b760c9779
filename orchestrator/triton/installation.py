"""The tritonserver that the nvidia-pytriton wheel carries: where its files are and how to run it.

Only the server is used. pytriton itself is not imported: its dependencies are not installed.
"""

import fcntl
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ConfigurationError

WHEEL = "nvidia-pytriton==0.7.0"
SHARED_MEMORY = Path("/dev/shm")
_PREFIX = "goassist-triton-"


@dataclass(frozen=True, slots=True)
class Installation:
    """The files of one tritonserver and of the Python that its models will run in."""

    server: Path
    libraries: Path
    python_backend: Path
    stub: Path
    libpython: Path

    def environment(self, inherited: Mapping[str, str], python: Path | None = None) -> dict[str, str]:
        """The server's environment: its own libraries and the models' Python come first.

        The stub starts an embedded interpreter, which takes the first `python3` of PATH for its own
        executable and so finds the packages of that virtual environment, this one or the folder `python`. It
        ignores PYTHONPATH.
        """
        libraries = [str(self.libraries), str(self.libpython.parent)]
        if inherited.get("LD_LIBRARY_PATH"):
            libraries.append(inherited["LD_LIBRARY_PATH"])
        path = [str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]
        if python is not None:
            path.insert(0, str(python / "bin"))
        return {
            **inherited,
            "LD_LIBRARY_PATH": os.pathsep.join(libraries),
            "PATH": os.pathsep.join(path),
        }


def check_python(python: Path) -> None:
    """ConfigurationError where the models cannot run in this virtual environment."""
    asked = "import sys, numpy, engines; print('%d.%d' % sys.version_info[:2], numpy.__version__.split('.')[0])"
    try:
        command = [str(python / "bin" / "python3"), "-I", "-c", asked]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except OSError as error:
        raise ConfigurationError(f"There is no virtual environment at {python}: {error.strerror}.") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.splitlines() or ["no reason given"])[-1]
        raise ConfigurationError(
            f"The models cannot run in {python}: {reason}. Set it up with deploy/setup/engines.sh."
        ) from error
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if told.split() != [version, "1"]:
        raise ConfigurationError(
            f"The models cannot run in {python}: they need Python {version}, as here, and numpy 1.26.4: later break "
            "STRING inputs in Triton's Python backend. Set it up with deploy/setup/engines.sh."
        )


def find_installation() -> Installation:
    """The installed server; ConfigurationError with the remedy where something is missing."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            f"Triton is not installed in {sys.prefix}: run `pip install --no-deps {WHEEL}` there, "
            "or set TRITON_URL to a running server and use `goassist serve`."
        )
    package = Path(next(iter(spec.submodule_search_locations)))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = Installation(
        server=package / "tritonserver/bin/tritonserver",
        libraries=package.parent / "nvidia_pytriton.libs",
        python_backend=package / "tritonserver/backends/python",
        stub=package / "tritonserver/python_backend_stubs" / version / "triton_python_backend_stub",
        libpython=_find_libpython(version),
    )
    for path in (found.server, found.libraries, found.python_backend, found.stub):
        if not path.exists():
            raise ConfigurationError(
                f"The Triton installation is incomplete: {path} is missing. It exists for Linux and Python 3.8 "
                f"to 3.13, this is {platform.system()} with Python {version}. Reinstall it with "
                f"`pip install --force-reinstall --no-deps {WHEEL}`."
            )
    numpy = importlib.metadata.version("numpy")
    if int(numpy.split(".")[0]) >= 2:
        raise ConfigurationError(
            f"numpy {numpy} breaks STRING inputs in Triton's Python backend: run `pip install numpy==1.26.4`."
        )
    return found


def _find_libpython(version: str) -> Path:
    name = f"libpython{version}.so.1.0"
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [Path(sysconfig.get_config_var("LIBDIR") or ""), Path(sys.base_prefix) / "lib", Path("/usr/lib")]
    for folder in folders:
        for candidate in (folder / name, folder / multiarch / name):
            if candidate.is_file():
                return candidate
    raise ConfigurationError(
        f"Triton's Python backend needs {name}, which this Python does not have: on Debian and Ubuntu run "
        f"`apt-get install libpython{version}`; with pyenv install Python with PYTHON_CONFIGURE_OPTS=--enable-shared."
    )


@dataclass(frozen=True, slots=True)
class Workspace:
    """What one server run owns outside its process: a folder with its backends, and a shared-memory prefix."""

    folder: Path

    @property
    def backends(self) -> Path:
        """The value of --backend-directory."""
        return self.folder / "backends"

    @property
    def shared_memory_prefix(self) -> str:
        """Begins the name of every shared-memory region of this server's Python models."""
        return self.folder.name + "-"

    def remove_shared_memory(self) -> None:
        """Removes the regions that a killed server left; the server must not be running."""
        for region in SHARED_MEMORY.glob(self.shared_memory_prefix + "*"):
            region.unlink(missing_ok=True)


@contextmanager
def open_workspace(installation: Installation) -> Iterator[Workspace]:
    """A private workspace for one server, removed at the end.

    A lock, which the kernel drops when this process dies in whatever way, marks it as in use. Workspaces
    without a holder are what killed processes left: they are removed first.
    """
    _remove_abandoned(Path(tempfile.gettempdir()))
    workspace = Workspace(Path(tempfile.mkdtemp(prefix=_PREFIX)))
    with (workspace.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            backend = workspace.backends / "python"
            backend.mkdir(parents=True)
            for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
                (backend / name).symlink_to(installation.python_backend / name)
            (backend / installation.stub.name).symlink_to(installation.stub)
            yield workspace
        finally:
            workspace.remove_shared_memory()
            shutil.rmtree(workspace.folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for lock_path in parent.glob(f"{_PREFIX}*/lock"):
        try:
            with lock_path.open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Workspace(lock_path.parent).remove_shared_memory()
                shutil.rmtree(lock_path.parent, ignore_errors=True)
        except OSError:  # held by a living process, owned by another user, or removed meanwhile
            continue
