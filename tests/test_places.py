"""The places of several workers, in one memory."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from orchestrator.core.pressure import Level
from orchestrator.errors import CapacityError
from orchestrator.places import Places, new_places, occupy, vacate
from orchestrator.registry import Registry
from orchestrator.siblings import Worker

WORKERS = 3


@pytest.fixture
def descriptor() -> Iterator[int]:
    descriptor = new_places(WORKERS)
    yield descriptor
    os.close(descriptor)


def places(descriptor: int, own: int) -> Places:
    """Those of a worker that serves."""
    made = Places(descriptor, workers=WORKERS, own=own)
    occupy(descriptor, own)
    return made


def test_every_worker_sees_the_calls_of_all(descriptor: int) -> None:
    workers = [places(descriptor, own) for own in range(WORKERS)]
    for calls, worker in enumerate(workers):
        worker.note(calls)
    assert [worker.taken for worker in workers] == [3, 3, 3]
    vacate(descriptor, 2)
    assert workers[0].taken == 1
    places(descriptor, 1)  # begun anew
    assert workers[0].taken == 0


def test_a_call_goes_to_the_worker_of_fewest_calls_and_stays_at_a_tie(descriptor: int) -> None:
    first, second, third = (places(descriptor, own) for own in range(WORKERS))
    assert [each.freest(busy=False, coming={}) for each in (first, second, third)] == [0, 1, 2]
    first.note(2)
    second.note(1)
    third.note(1)
    assert [each.freest(busy=False, coming={}) for each in (first, second, third)] == [1, 1, 2]
    assert first.freest(busy=False, coming={1: 1}) == 2, "calls that are on their way count"


def test_a_worker_that_takes_no_calls_is_left_out_unless_all_are(descriptor: int) -> None:
    first, second, third = (places(descriptor, own) for own in range(WORKERS))
    for each, calls in ((first, 1), (second, 2), (third, 3)):
        each.note(calls)
    first.press(Level.SESSION_QUEUE)
    assert second.freest(busy=False, coming={}) == 1
    assert first.freest(busy=True, coming={}) == 1
    assert second.freest(busy=True, coming={}) == 2
    third.press(Level.SESSION_REJECT)
    assert second.freest(busy=True, coming={}) == 0
    first.press(Level.NORMAL)
    assert third.freest(busy=True, coming={}) == 0


def test_a_worker_that_died_gets_no_call_until_its_successor_serves(descriptor: int) -> None:
    first, second = places(descriptor, 0), places(descriptor, 1)
    first.note(2)
    second.note(1)
    assert first.freest(busy=True, coming={}) == 1, "the third has not started"
    vacate(descriptor, 1)
    assert not first.serves(1)
    assert first.freest(busy=True, coming={}) == 0
    successor = Places(descriptor, workers=WORKERS, own=1)
    successor.note(0)
    successor.press(Level.NORMAL)
    assert first.freest(busy=True, coming={}) == 0, "it starts, and does not answer yet"
    occupy(descriptor, 1)
    assert first.serves(1)
    assert first.freest(busy=False, coming={}) == 1
    successor.note(1)
    assert first.serves(1)


def test_a_worker_that_did_not_answer_is_left_out(descriptor: int) -> None:
    first, second, third = (places(descriptor, own) for own in range(WORKERS))
    first.note(3)
    third.note(1)
    assert first.freest(busy=False, coming={}) == 1
    assert first.freest(busy=False, coming={}, silent={1}) == 2
    assert first.freest(busy=True, coming={}, silent={1, 2}) == 0
    assert second.freest(busy=False, coming={}, silent={1}) == 1, "this one answers"


def test_the_limit_is_that_of_all_workers_together(descriptor: int) -> None:
    own, other = places(descriptor, 0), places(descriptor, 1)
    registry: Registry[None] = Registry(max_sessions=4, idle_timeout_s=60, shares=own)  # type: ignore[type-var]
    other.note(3)
    assert registry.free == 1
    registry.check_capacity()
    other.note(4)
    with pytest.raises(CapacityError, match="all 4 sessions"):
        registry.check_capacity()


def test_a_worker_that_dies_with_the_lock_does_not_keep_it(descriptor: int) -> None:
    program = (
        "import os, signal, sys\n"
        "from orchestrator.places import Places\n"
        f"with Places(int(sys.argv[1]), workers={WORKERS}, own=1).locked():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run([sys.executable, "-c", program, str(descriptor)], pass_fds=[descriptor], timeout=30)
    assert died.returncode == -9
    with places(descriptor, 0).locked():
        pass


def test_an_id_that_a_client_chose_belongs_to_one_worker() -> None:
    workers = [Worker(number, (1, 2, 3), "", -1, -1) for number in range(3)]
    for chosen in ("mine", "yours", "theirs", "room-7"):
        assert len({worker.chosen_by(chosen) for worker in workers}) == 1
    assert {workers[0].chosen_by(f"room-{number}") for number in range(20)} == {0, 1, 2}
