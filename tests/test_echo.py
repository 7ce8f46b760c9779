"""The agent's own voice is told from a person's."""

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from orchestrator.echo import correlation, is_echo
from orchestrator.webrtc.opus import Decoder, Encoder

AUDIO = Path(__file__).parent / "audio"
WINDOW = 2560  # 160 ms
PLAYED = 14_400  # 0.9 s

Samples = npt.NDArray[np.int16]


def recording(name: str) -> Samples:
    with wave.open(str(AUDIO / name)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def through_opus(samples: Samples) -> Samples:
    encoder, decoder = Encoder(16_000), Decoder(16_000)
    frames = [samples[i : i + 320].tobytes() for i in range(0, samples.size - 319, 320)]
    return np.frombuffer(b"".join(decoder.decode(encoder.encode(frame)) for frame in frames), np.int16)


@pytest.fixture(scope="module")
def agent() -> Samples:
    return recording("tell_me_a_story.wav")


@pytest.fixture(scope="module")
def person() -> Samples:
    return recording("what_can_you_do.wav")


def windows(samples: Samples, size: int, level: int) -> list[int]:
    """Where windows end that hold speech."""
    ends = range(PLAYED, samples.size, 400)
    return [end for end in ends if np.abs(samples[end - size : end]).max() > level]


def test_the_agents_voice_at_minus_20_db_is_an_echo(agent: Samples) -> None:
    returned = through_opus((through_opus(agent) // 10).astype(np.int16))
    ends = windows(agent, WINDOW, 3000)
    assert len(ends) > 5
    judged = [is_echo(returned[end - WINDOW : end], agent[end - PLAYED : end]) for end in ends if end < returned.size]
    assert np.mean(judged) > 0.95


def test_a_person_who_speaks_over_the_echo_is_heard(agent: Samples, person: Samples) -> None:
    ends = windows(person, WINDOW, 3000)
    assert len(ends) > 5
    loud = np.resize(agent, person.size)
    both = (person + loud // 10).astype(np.int16)
    judged = [is_echo(both[end - WINDOW : end], loud[end - PLAYED : end]) for end in ends]
    assert not all(judged[:2]), "the next window shows what one leaves open"
    assert np.mean(judged) < 0.4


def test_nothing_is_an_echo_of_silence(person: Samples) -> None:
    assert correlation(person[8000:9280], np.zeros(PLAYED, np.int16)) == 0


def test_silence_is_no_echo(agent: Samples) -> None:
    assert not is_echo(np.zeros(WINDOW, np.int16), agent[:PLAYED])


@pytest.mark.parametrize(("near", "far"), [(100, 14_400), (2560, 0)])
def test_too_little_sound_proves_nothing(near: int, far: int, agent: Samples) -> None:
    assert correlation(agent[:near], agent[:far]) == 0
