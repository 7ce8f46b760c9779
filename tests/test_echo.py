"""The agent's own voice is told from a person's."""

import numpy as np
import pytest

from orchestrator.echo import LONGEST, EchoGuard, Played, Samples
from tests.echoed import recording, through_opus

PLAYED = 14_400  # 0.9 s


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


def returned(agent: Samples, delay: int, decay_s: float = 0.0) -> Samples:
    """The agent's voice at -20 dB, `delay` samples late, through Opus both ways, from a room or dry."""
    generator = np.random.default_rng(0)
    sound = through_opus(agent).astype(np.float64)
    if decay_s:
        size = int(16_000 * decay_s)
        tail = generator.normal(size=size) * np.exp(-6.9 * np.arange(size) / size)
        tail[:20] = 0
        tail *= 0.7 / np.sqrt(tail @ tail)
        tail[0] = 1
        sound = np.convolve(sound, tail)[: sound.size]
    sound = np.concatenate([np.zeros(delay), sound]) / 10 + generator.normal(0, 8, delay + sound.size)
    return through_opus(sound.clip(-32768, 32767).astype(np.int16))


@pytest.mark.parametrize("decay_s", [0.0, 0.2])
@pytest.mark.parametrize("delay", [0, 1000, 5000])
def test_the_agents_voice_at_minus_20_db_is_an_echo(agent: Samples, delay: int, decay_s: float) -> None:
    microphone, guard = returned(agent, delay, decay_s), EchoGuard()
    ends = [end + delay for end in windows(agent, 2560, 3000) if end + delay < min(microphone.size, agent.size)]
    assert len(ends) > 5
    judged = [guard.hears_agent(microphone[end - LONGEST : end], agent[end - PLAYED : end]) for end in ends]
    assert np.mean(judged) > 0.95


@pytest.mark.parametrize("delay", [1000, 2000])
def test_the_beginning_of_an_answer_is_an_echo_as_well(agent: Samples, delay: int) -> None:
    begin = windows(agent, 320, 3000)[0] - 320
    microphone = returned(agent[begin:], delay)
    for heard in (1280, 1920, 2560):  # of the echo; more of the answer has been sent
        end = delay + heard
        sound = np.pad(microphone[:end], (max(0, LONGEST - end), 0))[-LONGEST:]
        assert EchoGuard().hears_agent(sound, agent[begin : begin + end]), heard


def test_the_delay_of_an_echo_is_found(agent: Samples) -> None:
    end = windows(agent, 2560, 8000)[0] + 1000
    similarity, delay = Played(agent[end - PLAYED : end]).correlation(returned(agent, 1000)[end - LONGEST : end])
    assert similarity > 0.5
    assert abs(delay - 1000) < 160, "Opus delays it by some milliseconds more"


def test_a_person_who_speaks_over_the_echo_is_heard_after_a_moment(agent: Samples, person: Samples) -> None:
    ends = windows(person, 2560, 3000)
    assert len(ends) > 5
    loud = np.resize(agent, person.size)
    both = (person + loud // 10).astype(np.int16)
    guard = EchoGuard()
    judged = [guard.hears_agent(both[end - LONGEST : end], loud[end - PLAYED : end]) for end in ends]
    assert not all(judged[:4]), "at the latest when the voice has lasted for 100 ms"
    assert np.mean(judged) < 0.4


def test_a_person_alone_is_never_an_echo(agent: Samples, person: Samples) -> None:
    loud, guard = np.resize(agent, person.size), EchoGuard()
    for end in windows(person, 2560, 3000):
        assert not guard.hears_agent(person[end - LONGEST : end], loud[end - PLAYED : end])


def test_nothing_is_an_echo_of_silence(person: Samples) -> None:
    assert Played(np.zeros(PLAYED, np.int16)).correlation(person[8000:9280])[0] == 0
    assert not EchoGuard().hears_agent(person[8000:9280], np.zeros(0, np.int16))


def test_silence_is_no_echo(agent: Samples) -> None:
    assert not EchoGuard().hears_agent(np.zeros(LONGEST, np.int16), agent[:PLAYED])
