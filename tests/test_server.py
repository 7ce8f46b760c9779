"""What the server's process is allowed."""

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_cli import NO_TRITON, TIMEOUT_S, address, start


@pytest.fixture
def few_files() -> Iterator[int]:
    """Processes that are started may open 256 files, and so many where they ask for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_process_may_open_as_many_files_as_the_system_allows(
    few_files: int, tmp_path: Path, workers: str
) -> None:
    process = start("serve", "--port", "0", "--workers", workers, cwd=tmp_path, TRITON_URL=NO_TRITON)
    try:
        address(process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) >= (0 if workers == "1" else 2)
        for pid in (process.pid, *map(int, children)):
            assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (few_files, few_files)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)


def test_the_limit_is_raised_to_what_the_system_allows(few_files: int) -> None:
    program = (
        "import resource; from orchestrator.server import raise_file_limit; raise_file_limit();"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert printed.stdout.split() == [str(few_files)] * 2
