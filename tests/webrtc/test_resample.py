"""orchestrator/webrtc/resample.py: pitch, level, length and images of odd rates; chunks of any size."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.webrtc.resample import Resampler
from tests.webrtc.sound import level, pitch, purity, samples, tone

RATES = [(22050, 24000), (44100, 48000), (11025, 12000), (32000, 48000), (96000, 48000)]


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_a_tone_keeps_pitch_level_and_length(rate_in: int, rate_out: int) -> None:
    resampler = Resampler(rate_in, rate_out)
    output = samples(resampler.push(tone(1000, 1.0, rate_in)) + resampler.flush())
    assert len(output) == rate_out
    assert pitch(output, rate_out) == pytest.approx(1000, abs=2)
    assert level(output) == pytest.approx(8000 / 2**0.5, rel=0.01)
    assert purity(output, 1000, rate_out) > 0.99999


def test_the_output_is_in_step_with_the_input() -> None:
    resampler = Resampler(22050, 24000)
    output = samples(resampler.push(tone(500, 0.5, 22050)) + resampler.flush())
    expected = samples(tone(500, 0.5, 24000))
    assert level(output[100:-100] - expected[100:-100]) < 20


def test_sound_above_the_new_rate_is_removed_instead_of_folded_down() -> None:
    output = samples(Resampler(96000, 48000).push(tone(36000, 0.5, 96000)))
    assert level(output[100:]) < 0.001 * 8000


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(min_value=0, max_value=2000), max_size=8))
def test_chunks_of_any_size_give_the_same_sound(cuts: list[int]) -> None:
    sound = tone(700, 0.1, 22050)
    whole, pieces = Resampler(22050, 24000), Resampler(22050, 24000)
    expected = whole.push(sound) + whole.flush()
    edges = sorted({0, *(2 * cut for cut in cuts), len(sound)})
    output = b"".join(pieces.push(sound[a:b]) for a, b in itertools.pairwise(edges)) + pieces.flush()
    assert output == expected
