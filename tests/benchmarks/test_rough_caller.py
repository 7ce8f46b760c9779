"""What a rough caller says, in packets of any length, and which of its turns count."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.rough_caller import Turns, voice
from orchestrator.webrtc.opus import Decoder, packet_samples

QUESTION = Path(__file__).parents[1] / "audio" / "what_time_is_it.wav"


@pytest.mark.parametrize("duration_ms", [10, 20, 40, 60])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_question_ends_with_its_last_packet_of_any_length(duration_ms: int, channels: int) -> None:
    said = voice(QUESTION, duration_ms, channels)
    decoder = Decoder(16_000)
    assert {packet_samples(each) for each in [*said.speech, *said.tail, *said.silence]} == {48 * duration_ms}
    assert {each[0] >> 2 & 1 for each in said.speech} == {channels - 1}  # RFC 6716 section 3.1

    def level(payloads: list[bytes]) -> float:
        sound = np.frombuffer(b"".join(map(decoder.decode, payloads)), "<i2").astype(float)
        return float(np.sqrt(np.mean(sound[-320:] ** 2)))

    last, after = level(said.speech), level(said.tail)
    assert last > 10 * after
    speech_ms = {len(voice(QUESTION, each, channels).speech) * each for each in (10, duration_ms)}
    assert max(speech_ms) - min(speech_ms) < duration_ms, "the same sound in each"


def test_turns_of_a_caller_that_stuttered_do_not_count() -> None:
    turns = Turns()
    turns.count(0.25, early=False, late_s=0.01)
    turns.count(0.9, early=False, late_s=0.2)
    turns.count(0.0, early=True, late_s=0.03)
    assert (turns.took_s, turns.repeated, turns.early, turns.counted) == ([0.25], 1, 1, 2)
    assert turns.late_s == 0.2
