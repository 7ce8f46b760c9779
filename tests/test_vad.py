"""orchestrator/vad.py on the real Silero model: batching, onsets, silence, closed streams, bad files."""

import asyncio
import time
import wave
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.vad import CONTEXT_SAMPLES, SAMPLE_RATE, WINDOW_BYTES, WINDOW_SAMPLES, VoiceDetector

QUESTION = Path(__file__).parent / "audio" / "what_time_is_it.wav"
PACKET_BYTES = 640  # 20 ms, as WebRTC delivers
SPEECH = 0.5


@pytest.fixture(scope="module")
def detector() -> VoiceDetector:
    return VoiceDetector()


@pytest.fixture(scope="module")
def question() -> np.ndarray:
    with wave.open(str(QUESTION)) as recording:
        assert (recording.getframerate(), recording.getnchannels()) == (SAMPLE_RATE, 1)
        return np.frombuffer(recording.readframes(recording.getnframes()), np.int16)


def seconds_of_silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * SAMPLE_RATE), np.int16)


class Heard:
    """What one stream reported; `complete` waits for the given number of windows."""

    def __init__(self) -> None:
        self.probabilities: list[float] = []
        self.levels_db: list[float] = []
        self.end_samples: list[int] = []
        self._grew = asyncio.Event()

    def __call__(self, probability: float, level_db: float, end_sample: int) -> None:
        self.probabilities.append(probability)
        self.levels_db.append(level_db)
        self.end_samples.append(end_sample)
        self._grew.set()

    async def complete(self, windows: int) -> None:
        async with asyncio.timeout(30):
            while len(self.probabilities) < windows:
                self._grew.clear()
                await self._grew.wait()


async def heard(detector: VoiceDetector, pcm: np.ndarray, piece_bytes: int = PACKET_BYTES) -> Heard:
    report = Heard()
    stream = detector.open(report)
    sound = pcm.tobytes()
    for start in range(0, len(sound), piece_bytes):
        stream.push(sound[start : start + piece_bytes])
    await report.complete(len(pcm) // WINDOW_SAMPLES)
    stream.close()
    return report


async def test_streams_evaluated_together_report_what_each_reports_alone(
    detector: VoiceDetector, question: np.ndarray
) -> None:
    generator = np.random.default_rng(1)
    sounds = [
        np.concatenate([generator.normal(0, 30 * k, 800 * k).astype(np.int16), question, seconds_of_silence(0.5)])
        for k in range(8)
    ]
    alone = [await heard(detector, sound) for sound in sounds]

    together = [Heard() for _ in sounds]
    streams = [detector.open(report) for report in together]
    for start in range(0, max(map(len, sounds)), PACKET_BYTES // 2):
        for stream, sound in zip(streams, sounds, strict=True):
            stream.push(sound[start : start + PACKET_BYTES // 2].tobytes())
        await asyncio.sleep(0)  # every stream's packets of one moment fall into one pass
    for report, sound in zip(together, sounds, strict=True):
        await report.complete(len(sound) // WINDOW_SAMPLES)
    for stream in streams:
        stream.close()

    for one, batched in zip(alone, together, strict=True):
        # Equal to the last bit where the CPU's kernels for a batch and for a single row agree.
        np.testing.assert_allclose(batched.probabilities, one.probabilities, rtol=0, atol=1e-5)
        assert batched.end_samples == one.end_samples


async def test_the_batched_stream_equals_the_model_run_by_hand(detector: VoiceDetector, question: np.ndarray) -> None:
    model = onnxruntime.InferenceSession(detector.model_path.with_name("silero_vad.onnx"))
    state = np.zeros((2, 1, 128), np.float32)
    context = np.zeros((1, CONTEXT_SAMPLES), np.float32)
    # A hum in the background: nothing is quiet enough to be skipped.
    question = question + (200 * np.sin(np.arange(len(question)) / 20)).astype(np.int16)
    expected = []
    for start in range(0, len(question) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES):
        window = question[None, start : start + WINDOW_SAMPLES].astype(np.float32) / 32768
        feed = {"input": np.concatenate([context, window], axis=1), "state": state, "sr": np.array(SAMPLE_RATE)}
        probability, state = model.run(None, feed)
        context = window[:, -CONTEXT_SAMPLES:]
        expected.append(float(probability[0, 0]))

    report = await heard(detector, question)

    np.testing.assert_allclose(report.probabilities, expected, rtol=0, atol=1e-5)


async def test_an_onset_of_speech_is_seen_within_a_tenth_of_a_second(
    detector: VoiceDetector, question: np.ndarray
) -> None:
    onset = int(np.argmax(np.abs(question.astype(int)) > 1000))
    lead = seconds_of_silence(1.0)

    report = await heard(detector, np.concatenate([lead, question]))

    seen = next(end for p, end in zip(report.probabilities, report.end_samples, strict=True) if p >= SPEECH)
    assert 0 < seen - (len(lead) + onset) <= 0.1 * SAMPLE_RATE


@pytest.mark.parametrize("amplitude", [0, 30, 300, 3000])
async def test_silence_and_noise_are_not_speech(detector: VoiceDetector, amplitude: int) -> None:
    noise = np.random.default_rng(2).normal(0, amplitude, 3 * SAMPLE_RATE).astype(np.int16)

    report = await heard(detector, noise)

    assert max(report.probabilities) < SPEECH


@pytest.mark.parametrize("piece_bytes", [1, 7, PACKET_BYTES, WINDOW_BYTES, 5 * WINDOW_BYTES + 1, 1_000_000])
async def test_pieces_of_any_length_give_the_same_windows(
    detector: VoiceDetector, question: np.ndarray, piece_bytes: int
) -> None:
    short = question[: 20 * WINDOW_SAMPLES + 100]
    whole = await heard(detector, short)

    pieces = await heard(detector, short, piece_bytes)

    assert pieces.end_samples == [WINDOW_SAMPLES * (n + 1) for n in range(20)]
    np.testing.assert_allclose(pieces.probabilities, whole.probabilities, rtol=0, atol=1e-5)


async def test_all_streams_of_one_loop_pass_share_one_call_of_the_model(detector: VoiceDetector) -> None:
    calls = detector.calls
    reports = [Heard() for _ in range(70)]
    streams = [detector.open(report) for report in reports]  # more than the detector's first capacity
    for stream in streams:
        stream.push(np.full(WINDOW_SAMPLES, 500, np.int16).tobytes())
    for report in reports:
        await report.complete(1)
    for stream in streams:
        stream.close()

    assert detector.calls == calls + 1


async def test_many_streams_wait_for_each_other_a_moment_and_a_few_do_not(detector: VoiceDetector) -> None:
    window = np.full(WINDOW_SAMPLES, 500, np.int16).tobytes()

    async def calls_for(count: int) -> int:
        before, reports = detector.calls, [Heard() for _ in range(count)]
        streams = [detector.open(report) for report in reports]
        for stream in streams:
            stream.push(window)
            await asyncio.sleep(0)  # as packets come, each in a pass of the loop
        for report in reports:
            await report.complete(1)
        for stream in streams:
            stream.close()
        return detector.calls - before

    assert await calls_for(4) == 4
    assert await calls_for(50) < 25


async def test_the_level_is_that_of_the_window(detector: VoiceDetector) -> None:
    wave = (16_384 * np.sin(2 * np.pi * np.arange(WINDOW_SAMPLES) / 32)).astype(np.int16)
    report = await heard(detector, np.concatenate([wave, wave // 10, wave // 10_000]))
    assert report.levels_db == pytest.approx([-9.03, -29.03, -100.0], abs=0.05)


async def test_what_is_too_quiet_to_be_speech_costs_no_call_and_leaves_no_memory(
    detector: VoiceDetector, question: np.ndarray
) -> None:
    before = detector.calls
    quiet = np.full(10 * WINDOW_SAMPLES, 20, np.int16)
    assert (await heard(detector, quiet)).probabilities == [0.0] * 10
    assert detector.calls == before
    alone = await heard(detector, question)
    after_speech = await heard(detector, np.concatenate([question, quiet[: -len(question) % WINDOW_SAMPLES], question]))
    first = -(-len(question) // WINDOW_SAMPLES)
    count = len(alone.probabilities)
    np.testing.assert_allclose(after_speech.probabilities[first : first + count], alone.probabilities, atol=0.05)


async def test_a_closed_stream_is_never_called_again(detector: VoiceDetector) -> None:
    late, other = Heard(), Heard()
    before, after, witness = detector.open(late), detector.open(late), detector.open(other)
    for stream in (before, after, witness):
        stream.push(bytes(2 * WINDOW_BYTES))
    before.close()  # before its windows are evaluated
    await asyncio.sleep(0)
    after.close()  # its first window has been evaluated, but not reported
    before.close()  # once more: closing is idempotent
    after.push(bytes(WINDOW_BYTES))
    await other.complete(2)
    witness.close()

    assert late.probabilities == []


async def test_a_new_stream_knows_nothing_of_the_one_whose_place_it_took(question: np.ndarray) -> None:
    detector = VoiceDetector(capacity=1)
    fresh = await heard(detector, seconds_of_silence(0.5))
    await heard(detector, question)

    reused = await heard(detector, seconds_of_silence(0.5))

    assert reused.probabilities == fresh.probabilities


async def test_a_callback_that_raises_harms_no_other_stream(detector: VoiceDetector) -> None:
    def broken(probability: float, level_db: float, end_sample: int) -> None:
        raise ZeroDivisionError

    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context["exception"]))
    report = Heard()
    streams = [detector.open(broken), detector.open(report)]
    for stream in streams:
        stream.push(bytes(3 * WINDOW_BYTES))
    await report.complete(3)
    for stream in streams:
        stream.close()

    assert [type(error) for error in raised] == [ZeroDivisionError] * 3


async def test_a_backlog_over_a_minute_skips_its_oldest_sound_and_keeps_the_clock(detector: VoiceDetector) -> None:
    pushed_s = 70
    report = Heard()
    stream = detector.open(report)
    stream.push(bytes(2 * SAMPLE_RATE * pushed_s))
    await report.complete(60 * SAMPLE_RATE // WINDOW_SAMPLES - 1)  # whole windows are skipped
    stream.close()

    assert 10 * SAMPLE_RATE <= report.end_samples[0] <= 10 * SAMPLE_RATE + 2 * WINDOW_SAMPLES
    assert pushed_s * SAMPLE_RATE - report.end_samples[-1] < WINDOW_SAMPLES


def test_a_missing_model_file_is_a_configuration_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.onnx"):
        VoiceDetector(tmp_path / "absent.onnx")


def test_a_broken_model_file_is_a_configuration_error_that_names_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"this is no ONNX model")

    with pytest.raises(ConfigurationError, match=r"broken\.onnx"):
        VoiceDetector(broken)


def test_a_missing_wheel_is_a_configuration_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=r"no-deps\.txt"):
        VoiceDetector()


async def test_a_hundred_sessions_cost_a_small_part_of_real_time(question: np.ndarray) -> None:
    detector = VoiceDetector()
    sound = np.tile(question, 4)[: 2 * SAMPLE_RATE].tobytes()
    reports = [Heard() for _ in range(100)]
    streams = [detector.open(report) for report in reports]
    began = time.process_time()  # what others do on the machine is not in it
    for stream in streams:
        stream.push(sound)
    for report in reports:
        await report.complete(2 * SAMPLE_RATE // WINDOW_SAMPLES)

    # Seen: 3.5 ms a call, 0.11 of one core; the bound leaves room for a slow machine.
    assert detector.windows == 100 * (2 * SAMPLE_RATE // WINDOW_SAMPLES)
    assert time.process_time() - began < 2 * 0.6


async def test_a_stream_is_behind_until_all_it_was_given_is_reported() -> None:
    reported: list[int] = []
    stream = VoiceDetector().open(lambda probability, level_db, end_sample: reported.append(end_sample))
    assert not stream.behind
    stream.push(bytes(2 * WINDOW_SAMPLES * 3 + 100))
    while stream.behind:
        await asyncio.sleep(0)
    assert reported == [WINDOW_SAMPLES, 2 * WINDOW_SAMPLES, 3 * WINDOW_SAMPLES]
    stream.push(bytes(2 * WINDOW_SAMPLES))
    stream.close()
    assert not stream.behind
