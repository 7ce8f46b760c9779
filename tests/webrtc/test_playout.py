"""orchestrator/webrtc/playout.py: pace, fades, counting, and no lost sample, all without a clock."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.webrtc.playout import BUFFER_LIMIT_S, Playout
from tests.webrtc.sound import level, pitch, purity, samples, sharpest_edge, tone

RATE = 24000
FRAME = 480


class Line:
    """A playout and what came out of it."""

    def __init__(self) -> None:
        self.log: list[tuple[str, int]] = []
        self.playout = Playout(on_started=self._log("started"), on_finished=self._log("finished"))

    def _log(self, event: str) -> Callable[[int], None]:
        return lambda turn: self.log.append((event, turn))

    def take(self, count: int) -> np.ndarray:
        """The sound of `count` frames, silence as zeros."""
        frames = [self.playout.next_frame() or bytes(2 * FRAME) for _ in range(count)]
        return samples(b"".join(frames))


@pytest.fixture
def line() -> Line:
    return Line()


def test_a_response_comes_out_as_it_went_in_and_is_reported_once(line: Line) -> None:
    sound = tone(440, 0.095, RATE)
    line.playout.begin(7)
    line.playout.write(sound, RATE)
    line.playout.end()
    assert line.log == []
    heard = line.take(5)
    assert heard[: len(sound) // 2].astype("<i2").tobytes() == sound
    assert not heard[len(sound) // 2 :].any()
    assert line.log == [("started", 7)]
    assert line.playout.played_s == pytest.approx(0.095)
    assert line.playout.next_frame() is None
    assert line.log == [("started", 7), ("finished", 7)]
    assert line.playout.next_frame() is None
    assert line.log == [("started", 7), ("finished", 7)]


def test_silence_is_none_and_not_a_frame_of_zeros(line: Line) -> None:
    assert line.playout.next_frame() is None


def test_a_response_without_sound_finishes_without_having_started(line: Line) -> None:
    line.playout.begin(1)
    assert line.playout.next_frame() is None
    line.playout.end()
    assert line.playout.next_frame() is None
    assert line.log == [("finished", 1)]


def test_a_pause_is_silent_within_the_frame_and_resuming_loses_no_sample(line: Line) -> None:
    sound = tone(440, 0.4, RATE)
    line.playout.begin(1)
    line.playout.write(sound, RATE)
    line.playout.end()
    before = line.take(5)
    line.playout.pause()
    played = line.playout.played_s
    faded = line.take(1)
    assert faded[:120].any()
    assert not faded[120:].any(), "silent 5 ms after the pause"
    assert all(line.playout.next_frame() is None for _ in range(20))
    assert line.playout.played_s == played
    line.playout.resume()
    after = line.take(15)
    original = samples(sound)
    assert np.array_equal(np.concatenate([before, after])[5 * FRAME + 120 :], original[5 * FRAME + 120 :])
    restarted = after[:120] / np.where(original[5 * FRAME :][:120] == 0, 1, original[5 * FRAME :][:120])
    assert np.all(np.diff(restarted[10:]) > -0.02), "the 5 ms after the pause fade in"
    assert line.playout.played_s == pytest.approx(0.4)


@pytest.mark.parametrize("stop", [Playout.pause, Playout.clear])
def test_stopping_in_full_sound_does_not_click(line: Line, stop: Callable[[Playout], None]) -> None:
    line.playout.begin(1)
    line.playout.write(tone(440, 0.4, RATE), RATE)
    sound = line.take(5)
    stop(line.playout)
    sound = np.concatenate([sound, line.take(5)])
    assert sharpest_edge(sound) < 2 * sharpest_edge(sound[: 4 * FRAME])
    cut_off = np.concatenate([sound[: 5 * FRAME + 50], np.zeros(500)])
    assert sharpest_edge(cut_off) > 3 * sharpest_edge(sound), "which is how a cut would have shown"


def test_resuming_does_not_click(line: Line) -> None:
    line.playout.begin(1)
    line.playout.write(tone(440, 0.4, RATE), RATE)
    normal = sharpest_edge(line.take(4))
    line.playout.pause()
    line.take(3)
    line.playout.resume()
    assert sharpest_edge(line.take(4)) < 2 * normal


def test_clearing_throws_the_rest_away_and_is_not_a_finish(line: Line) -> None:
    line.playout.begin(1)
    line.playout.write(tone(440, 1.0, RATE), RATE)
    line.playout.end()
    line.take(10)
    line.playout.clear()
    assert line.playout.played_s == pytest.approx(0.2)
    assert line.playout.buffered_s == 0
    tail = line.take(1)
    assert tail[:120].any()
    assert not tail[120:].any()
    assert all(line.playout.next_frame() is None for _ in range(10))
    assert line.log == [("started", 1)]


def test_clearing_what_has_not_sounded_leaves_no_sound_at_all(line: Line) -> None:
    line.playout.begin(1)
    line.playout.write(tone(440, 1.0, RATE), RATE)
    line.playout.clear()
    assert line.playout.next_frame() is None


def test_the_next_response_can_be_written_at_once_after_a_clear(line: Line) -> None:
    line.playout.begin(1)
    line.playout.write(tone(440, 1.0, RATE), RATE)
    line.take(5)
    line.playout.clear()
    line.playout.begin(2)
    line.playout.write(tone(880, 0.2, RATE), RATE)
    line.playout.end()
    heard = line.take(11)
    assert pitch(heard[FRAME : FRAME + RATE // 5], RATE) == pytest.approx(880, abs=10)
    assert line.playout.played_s == pytest.approx(0.2)
    line.take(1)
    assert line.log == [("started", 1), ("started", 2), ("finished", 2)]


def test_beginning_anew_clears_what_is_left(line: Line) -> None:
    line.playout.begin(1)
    line.playout.write(tone(440, 1.0, RATE), RATE)
    line.take(5)
    line.playout.begin(2)
    assert (line.playout.turn, line.playout.buffered_s, line.playout.played_s) == (2, 0, 0)


def test_sound_that_comes_too_late_stops_without_a_click_and_goes_on_without_a_loss(line: Line) -> None:
    sound = tone(440, 0.3, RATE)
    line.playout.begin(1)
    line.playout.write(sound[: 2 * 2600], RATE)
    first = line.take(8)
    assert not first[5 * FRAME + 120 + FRAME :].any()
    assert line.playout.played_s == pytest.approx(0.1), "5 ms wait, in case they have to fade out"
    line.playout.write(sound[2 * 2600 :], RATE)
    line.playout.end()
    second = line.take(11)
    assert sharpest_edge(np.concatenate([first, second[: 10 * FRAME]])) < 2 * sharpest_edge(samples(sound))
    assert np.array_equal(second[120 : 10 * FRAME], samples(sound)[5 * FRAME + 120 :])
    assert line.playout.played_s == pytest.approx(0.3)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_frames_come_at_the_rate_of_the_response(line: Line, rate: int) -> None:
    line.playout.begin(1)
    line.playout.write(tone(440, 0.2, rate), rate)
    frame = line.playout.next_frame()
    assert frame is not None
    assert (line.playout.sample_rate, len(frame)) == (rate, 2 * rate // 50)


def test_the_next_response_may_have_another_rate(line: Line) -> None:
    rates = []
    for turn, rate in enumerate([24000, 16000, 48000]):
        line.playout.begin(turn)
        line.playout.write(tone(440, 0.02, rate), rate)
        line.playout.end()
        assert line.playout.next_frame() == tone(440, 0.02, rate)
        rates.append(line.playout.sample_rate)
        line.playout.next_frame()
    assert rates == [24000, 16000, 48000]
    assert [event for event, _ in line.log] == ["started", "finished"] * 3


@pytest.mark.parametrize(("rate", "played_at"), [(22050, 24000), (44100, 48000), (11025, 12000)])
def test_a_rate_that_opus_lacks_is_resampled(line: Line, rate: int, played_at: int) -> None:
    line.playout.begin(1)
    sound = tone(1000, 0.4, rate)
    for at in range(0, len(sound), 1000):
        line.playout.write(sound[at : at + 1000], rate)
    line.playout.end()
    heard = samples(b"".join(iter(line.playout.next_frame, None)))
    assert line.playout.sample_rate == played_at
    assert pitch(heard, played_at) == pytest.approx(1000, abs=3)
    assert purity(heard, 1000, played_at) > 0.99
    assert line.playout.played_s == pytest.approx(0.4, abs=0.001)


def test_another_rate_within_a_response_goes_on_without_a_gap(line: Line) -> None:
    line.playout.begin(1)
    line.playout.write(tone(500, 0.2, 24000), 24000)
    line.playout.write(tone(500, 0.2, 22050, start_s=0.2), 22050)
    line.playout.end()
    heard = line.take(20)
    assert purity(heard, 500, 24000) > 0.999
    assert min(level(heard[at : at + 240]) for at in range(0, len(heard) - 240, 240)) > 4000


def test_a_mark_is_called_when_its_sound_was_taken_and_not_before(line: Line) -> None:
    reached: list[str] = []
    line.playout.begin(1)
    line.playout.write(bytes(2 * 3 * FRAME), RATE)
    line.playout.mark(lambda: reached.append("first"))
    line.playout.write(bytes(2 * 3 * FRAME), RATE)
    line.playout.mark(lambda: reached.append("second"))
    line.playout.end()
    line.take(2)
    assert reached == []
    line.take(1)
    assert reached == ["first"]
    line.take(3)
    assert reached == ["first", "second"]


def test_a_mark_in_cleared_sound_is_never_called(line: Line) -> None:
    reached: list[str] = []
    line.playout.begin(1)
    line.playout.write(bytes(2 * 10 * FRAME), RATE)
    line.playout.mark(lambda: reached.append("never"))
    line.take(2)
    line.playout.clear()
    line.take(20)
    assert reached == []


def test_a_response_may_be_cleared_out_of_its_own_start(line: Line) -> None:
    playout = Playout(on_started=lambda _: playout.clear(), on_finished=lambda _: None)
    playout.begin(1)
    playout.write(tone(440, 1.0, RATE), RATE)
    assert playout.next_frame() is not None
    assert playout.next_frame() is not None
    assert playout.next_frame() is None


def test_writing_without_a_response_is_an_error(line: Line) -> None:
    with pytest.raises(ValueError, match="begin"):
        line.playout.write(bytes(2), RATE)
    line.playout.begin(1)
    line.playout.end()
    with pytest.raises(ValueError, match="begin"):
        line.playout.write(bytes(2), RATE)


def test_half_a_sample_is_an_error(line: Line) -> None:
    line.playout.begin(1)
    with pytest.raises(ValueError, match="3 bytes"):
        line.playout.write(bytes(3), RATE)


async def test_room_waits_while_too_much_is_buffered_and_nothing_is_dropped(line: Line) -> None:
    line.playout.begin(1)
    line.playout.write(bytes(int(2 * RATE * BUFFER_LIMIT_S)), RATE)
    await asyncio.wait_for(line.playout.room(), 1)
    line.playout.write(bytes(2 * 2 * FRAME), RATE)
    waiting = asyncio.ensure_future(line.playout.room())
    line.take(1)
    await asyncio.sleep(0)
    assert not waiting.done()
    line.take(1)
    await asyncio.wait_for(waiting, 1)
    line.playout.end()
    line.take(10_000)
    assert line.playout.played_s == pytest.approx(BUFFER_LIMIT_S + 0.04)


async def test_clearing_makes_room(line: Line) -> None:
    line.playout.begin(1)
    line.playout.write(bytes(int(2 * RATE * 11)), RATE)
    waiting = asyncio.ensure_future(line.playout.room())
    await asyncio.sleep(0)
    assert not waiting.done(), "more is waiting than is taken"
    line.playout.clear()
    await asyncio.wait_for(waiting, 1)


@settings(max_examples=60, deadline=None)
@given(
    chunks=st.lists(st.integers(min_value=1, max_value=1500), min_size=1, max_size=20),
    actions=st.lists(st.sampled_from(["write", "take", "pause", "resume"]), max_size=60),
)
def test_whatever_pauses_and_delays_there_are_every_sample_comes_out_in_order(
    chunks: list[int], actions: list[str]
) -> None:
    """The sound is a ramp, so that what is missing or doubled beyond the fades shows."""
    finished: list[int] = []
    playout = Playout(on_started=lambda _: None, on_finished=finished.append)
    sound = (np.arange(sum(chunks)) % 30000 + 1).astype("<i2")
    pieces = iter(np.split(sound, np.cumsum(chunks)[:-1]))
    heard: list[bytes | None] = []
    playout.begin(1)
    for action in actions:
        if action == "write":
            if (piece := next(pieces, None)) is not None:
                playout.write(piece.tobytes(), RATE)
        elif action == "take":
            heard.append(playout.next_frame())
        else:
            playout.pause() if action == "pause" else playout.resume()
        assert playout.played_s + playout.buffered_s <= len(sound) / RATE + 1e-9
    for piece in pieces:
        playout.write(piece.tobytes(), RATE)
    playout.end()
    playout.resume()
    heard += [playout.next_frame() for _ in range(len(sound) // FRAME + 4)]
    frames = [samples(frame) for frame in heard if frame]
    stops = sum(not frame[-1] for frame in frames)
    unheard = set(sound.tolist()) - set(np.concatenate(frames).tolist())
    assert len(unheard) <= 120 * stops, "only what fades in again is heard at another level"
    assert finished == [1]
    assert round(playout.played_s * RATE) == len(sound)


@pytest.mark.parametrize("asked_every", [1, 3, 200])
def test_what_was_sent_lately_is_the_same_however_often_one_asks(line: Line, asked_every: int) -> None:
    line.playout.begin(1)
    line.playout.write(tone(440, 2.0, RATE), RATE)
    assert line.playout.recent_16k() == b""
    for taken in range(1, 91):
        line.playout.next_frame()
        if taken % asked_every == 0:
            line.playout.recent_16k()
    recent = samples(line.playout.recent_16k())
    assert 1.49 <= len(recent) / 16_000 <= 1.5
    assert pitch(recent, 16_000) == pytest.approx(440, abs=3)
    assert purity(recent, 440, 16_000) > 0.99


def test_what_was_sent_lately_holds_the_silence_of_a_pause_and_after_an_answer(line: Line) -> None:
    def frames(count: int) -> None:
        for _ in range(count):
            line.playout.next_frame()

    def loud() -> list[bool]:
        """Frame by frame, of the last 0.6 s."""
        recent = np.abs(samples(line.playout.recent_16k())).reshape(-1, 320)[-30:]
        return [bool(level > 1000) for level in recent.max(axis=1)]

    line.playout.begin(1)
    line.playout.write(tone(440, 0.6, 16_000), 16_000)
    frames(10)
    line.playout.pause()
    frames(10)
    line.playout.resume()
    frames(10)
    assert loud() == [True] * 11 + [False] * 9 + [True] * 10, "5 ms fade out in the eleventh"
    line.playout.end()
    frames(10 + 20)
    assert loud() == [True] * 10 + [False] * 20


def test_a_closed_playout_keeps_no_sound() -> None:
    playout = Playout(on_started=lambda _: None, on_finished=lambda _: None)
    playout.begin(1)
    playout.write(bytes(2 * 24_000), 24_000)
    playout.next_frame()
    playout.close()
    assert playout.buffered_s == 0
    assert playout.recent_16k() == b""


def test_what_is_left_of_a_response_is_played_before_the_next_one_and_counts_as_none(line: Line) -> None:
    first, second = tone(440, 0.2, RATE), tone(880, 0.1, RATE)
    line.playout.begin(1)
    line.playout.write(first, RATE)
    line.playout.end()
    heard = [line.take(3)]
    line.playout.leave()
    assert line.playout.turn is None
    heard.append(line.take(2))
    line.playout.begin(2)
    assert line.log == [("started", 1)]
    line.playout.write(second, RATE)
    line.playout.end()
    heard.append(line.take(1))
    assert line.log == [("started", 1), ("started", 2)], "it is the one that is heard, behind the first"
    assert line.playout.played_s == 0
    heard.append(line.take(9))
    assert np.concatenate(heard).astype("<i2").tobytes() == first + second
    assert line.playout.played_s == pytest.approx(0.1)
    assert line.playout.next_frame() is None
    assert line.log == [("started", 1), ("started", 2), ("finished", 2)]


def test_what_is_left_of_a_response_is_silenced_with_the_next_one(line: Line) -> None:
    for turn in (1, 2):
        line.playout.begin(turn)
        line.playout.write(tone(440, 1.0, RATE), RATE)
        line.playout.end()
        line.take(3)
        if turn == 1:
            line.playout.leave()
    line.playout.pause()
    line.take(1)
    assert not line.take(5).any()
    line.playout.resume()
    assert line.take(1).any()
    line.playout.clear()
    line.take(1)
    assert not line.take(60).any()


def test_a_response_at_another_rate_waits_as_long_for_what_is_left(line: Line) -> None:
    line.playout.begin(1)
    line.playout.write(tone(440, 0.2, RATE), RATE)
    line.playout.end()
    line.playout.leave()
    line.playout.begin(2)
    line.playout.write(tone(440, 0.1, 16_000), 16_000)
    line.playout.end()
    for _ in range(10):
        line.playout.next_frame()
    assert line.playout.played_s == 0
    line.playout.next_frame()
    assert line.playout.played_s == pytest.approx(0.02)
