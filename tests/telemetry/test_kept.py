"""What a worker counted outlives it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from orchestrator.telemetry.kept import HALF_BYTES, Kept, new_kept

WORKERS = 2


@pytest.fixture
def descriptor() -> Iterator[int]:
    descriptor = new_kept(WORKERS)
    yield descriptor
    os.close(descriptor)


def page(count: float, *, active: float = 0.0) -> str:
    return f"# TYPE a_total counter\na_total {count}\n# TYPE active gauge\nactive {active}\n"


def counted(text: str) -> float:
    found = re.search(r"^a_total (\S+)$", text, re.MULTILINE)
    assert found
    return float(found[1])


def test_a_sibling_sees_the_page_that_a_worker_showed_last(descriptor: int) -> None:
    own, sibling = Kept(descriptor, own=0), Kept(descriptor, own=1)
    assert sibling.last(0) == ""
    for count in (1.0, 2.0, 3.0):
        assert own.keep(page(count)) == page(count)
        assert sibling.last(0) == page(count)
    assert sibling.last(1) == ""


def test_a_successor_counts_on_and_holds_only_its_own_calls(descriptor: int) -> None:
    first = Kept(descriptor, own=0)
    first.keep(page(4.0, active=2.0))
    first.keep(page(5.0, active=3.0))
    second = Kept(descriptor, own=0)
    assert second.keep(page(0.0, active=1.0)) == page(5.0, active=1.0)
    assert second.keep(page(2.0)) == page(7.0)
    third = Kept(descriptor, own=0)
    assert third.keep(page(1.0)) == page(8.0)


def test_a_series_that_the_successor_does_not_have_yet_is_shown(descriptor: int) -> None:
    Kept(descriptor, own=0).keep('# TYPE a_total counter\na_total{b="c"} 4.0\n')
    shown = Kept(descriptor, own=0).keep('# TYPE a_total counter\na_total{b="d"} 1.0\n')
    assert shown == '# TYPE a_total counter\na_total{b="d"} 1.0\na_total{b="c"} 4.0\n'


@pytest.mark.parametrize("written", [1, 8, 20])
def test_of_a_page_that_was_written_in_part_the_one_before_stands(descriptor: int, written: int) -> None:
    own = Kept(descriptor, own=0)
    own.keep(page(1.0))
    own.keep(page(2.0))
    # Half of the third page over the first: its writer was killed.
    whole = new_kept(WORKERS)
    other = Kept(whole, own=0)
    for count in (1.0, 2.0, 3.0):
        other.keep(page(count))
    os.pwrite(descriptor, os.pread(whole, written, HALF_BYTES), HALF_BYTES)
    os.close(whole)
    assert counted(Kept(descriptor, own=1).last(0)) == 2.0
    assert counted(Kept(descriptor, own=0).keep(page(1.0))) == 3.0


def test_the_memory_is_shared_with_other_processes(descriptor: int) -> None:
    program = "import sys; from orchestrator.telemetry.kept import Kept; Kept(int(sys.argv[1]), own=1).keep('a 1.0\\n')"
    subprocess.run([sys.executable, "-c", program, str(descriptor)], pass_fds=[descriptor], timeout=30, check=True)
    assert Kept(descriptor, own=0).last(1) == "a 1.0\n"
