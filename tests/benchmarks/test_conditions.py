"""What each trouble does to a caller's packets."""

import asyncio
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import conditions
from benchmarks.conditions import CONDITIONS, Condition
from benchmarks.rough_caller import CallError, Form, RoughCaller

QUESTION = Path(__file__).parents[1] / "audio" / "what_time_is_it.wav"
COUNT = 1000


class Line(RoughCaller):
    """A caller without a connection."""

    def __init__(self) -> None:
        self.chance = Random(7)
        self._path, self._queue = QUESTION, []
        self.recover()

    def sends(self, count: int = COUNT) -> list[int]:
        """The numbers of the packets that come, in order, where so many are sent."""
        came: list[int] = []
        for number in range(count):
            self.fate(number.to_bytes(2), lambda packet: came.append(int.from_bytes(packet)))
        return came


def in_trouble(key: str) -> Line:
    caller = Line()
    CONDITIONS[key].begin(caller)
    return caller


def test_a_fifth_is_lost() -> None:
    came = in_trouble("loss").sends()
    assert len(came) == pytest.approx(0.8 * COUNT, abs=50)
    assert came == sorted(set(came))


def test_packets_are_overtaken_by_the_next_and_none_is_lost() -> None:
    came = in_trouble("reordered").sends()
    moved = [index for index, number in enumerate(came) if number != index]
    assert 0.2 * COUNT < len(moved) < 0.5 * COUNT
    assert max(abs(number - index) for index, number in enumerate(came)) == 1
    assert set(came) >= set(range(COUNT - 1))


def test_every_packet_comes_twice() -> None:
    assert in_trouble("duplicates").sends(3) == [0, 0, 1, 1, 2, 2]


async def test_late_packets_come_after_those_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "LATE_S", 0.01)
    caller, came = in_trouble("late"), list[int]()
    for number in range(COUNT):
        caller.fate(number.to_bytes(2), lambda packet: came.append(int.from_bytes(packet)))
    at_once = len(came)
    await asyncio.sleep(0.05)
    assert at_once == pytest.approx(0.95 * COUNT, abs=30)
    assert sorted(came) == list(range(COUNT))


async def test_a_sender_that_stops_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "STOPPED_S", 0.01)
    caller = in_trouble("stops")
    first = CONDITIONS["stops"].first
    assert first is not None
    stopping = asyncio.ensure_future(first(caller))
    await asyncio.sleep(0)
    assert caller.sends(3) == []
    await stopping
    assert caller.sends(3) == [0, 1, 2]


@pytest.mark.parametrize(("key", "status", "fine"), [
    ("renegotiates", 200, True),
    ("renegotiates", 500, False),
    ("ice-restart", 400, True),
    ("ice-restart", 200, False),
])  # fmt: skip
async def test_another_offer_must_be_answered_as_it_should(key: str, status: int, fine: bool) -> None:
    async def offer_again(*, restart_ice: bool) -> int:
        assert restart_ice == (key == "ice-restart")
        return status

    caller: Any = SimpleNamespace(offer_again=offer_again)
    first = CONDITIONS[key].first
    assert first is not None
    if fine:
        await first(caller)
    else:
        with pytest.raises(CallError, match=f"answered with {status}"):
            await first(caller)


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_all_is_well_again_afterwards(condition: Condition) -> None:
    caller = Line()
    condition.begin(caller)
    assert caller.form == condition.form
    condition.end(caller)
    assert caller.form == Form()
    assert caller.sends(50) == list(range(50))


@pytest.mark.parametrize(
    ("key", "ppm"), [("fast", 500), ("slow", -500), ("much-too-fast", 20_000), ("much-too-slow", -20_000)]
)
def test_clocks_are_as_wrong_as_their_names_say(key: str, ppm: float) -> None:
    sent_s = 1 / CONDITIONS[key].form.pace  # of sound in a second
    assert (sent_s - 1) * 1e6 == pytest.approx(ppm)
