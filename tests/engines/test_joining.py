import numpy as np
import pytest

from engines.joining import joined
from engines.synthesizer import Sound

RATE = 1000  # so that a sample is a millisecond


class Engine:
    """Makes chunks of `chunk` samples, each after `takes_s` of a clock that it moves on itself."""

    def __init__(self, *, chunk: int, takes_s: float, chunks: int = 50) -> None:
        self.now_s = 100.0
        self.closed = False
        self._chunk, self._takes_s, self._chunks = chunk, takes_s, chunks

    def sound(self) -> Sound:
        try:
            for index in range(self._chunks):
                self.now_s += self._takes_s
                yield np.full(self._chunk, index, np.int16)
        finally:
            self.closed = True

    def clock(self) -> float:
        return self.now_s


def joined_with_times(engine: Engine) -> list[tuple[float, np.ndarray]]:
    return [(engine.now_s, chunk) for chunk in joined(engine.sound(), RATE, clock=engine.clock)]


def test_nothing_is_lost_and_the_order_is_kept() -> None:
    chunks = [chunk for _, chunk in joined_with_times(Engine(chunk=35, takes_s=0.001))]
    assert np.concatenate(chunks).tolist() == [index for index in range(50) for _ in range(35)]


def test_the_first_chunk_leaves_as_the_engine_made_it() -> None:
    engine = Engine(chunk=40, takes_s=0.002)
    at_s, first = joined_with_times(engine)[0]
    assert (at_s, len(first)) == (pytest.approx(100.002), 40)


def test_a_fast_engine_sends_long_chunks_once_its_caller_has_enough_to_play() -> None:
    chunks = [len(chunk) for _, chunk in joined_with_times(Engine(chunk=40, takes_s=0.002))]
    assert chunks[:10] == [40] * 10
    assert chunks[12:-1] == [200] * len(chunks[12:-1])
    assert len(chunks) < 22


def test_chunks_are_never_longer_than_200_ms() -> None:
    for chunk in (35, 64, 130, 200):
        assert max(len(each) for _, each in joined_with_times(Engine(chunk=chunk, takes_s=0.001))) <= 200


@pytest.mark.parametrize("takes_s", [0.0, 0.002, 0.02, 0.035, 0.039])
def test_a_caller_that_plays_at_once_never_runs_dry_if_it_did_not_without_joining(takes_s: float) -> None:
    played_until_s: float | None = None
    for at_s, chunk in joined_with_times(Engine(chunk=40, takes_s=takes_s)):
        assert played_until_s is None or at_s <= played_until_s + 1e-9
        played_until_s = (at_s if played_until_s is None else played_until_s) + len(chunk) / RATE


def test_an_engine_as_slow_as_its_sound_sends_every_chunk_at_once() -> None:
    chunks = [len(chunk) for _, chunk in joined_with_times(Engine(chunk=40, takes_s=0.04))]
    assert chunks == [40] * 50


def test_an_empty_chunk_passes_and_brings_out_what_its_caller_needs_by_then() -> None:
    now_s = [0.0]

    def sound() -> Sound:
        for _ in range(12):
            yield np.ones(40, np.int16)
        now_s[0] = 0.3
        yield np.empty(0, np.int16)
        yield np.ones(40, np.int16)

    lengths = [len(chunk) for chunk in joined(sound(), RATE, clock=lambda: now_s[0])]
    assert lengths == [40] * 10 + [80, 0, 40]


def test_closing_closes_the_engine() -> None:
    engine = Engine(chunk=40, takes_s=0.002)
    chunks = joined(engine.sound(), RATE, clock=engine.clock)
    next(chunks)
    chunks.close()
    assert engine.closed
