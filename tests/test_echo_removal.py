"""A person over the agent's echo is heard without it."""

import numpy as np
import pytest

from orchestrator.echo import Samples
from orchestrator.echo_removal import NEEDED, without_echo
from tests.echoed import recording, through_opus

PLAYED = 24_000  # 1.5 s
KEPT = 4000  # of the person's speech


AGENT = recording("tell_me_a_story.wav")
# Where the agent has spoken for long enough, and goes on to.
ONSET = 14_000
NOISE = np.random.default_rng(0).normal(0, 4, 40_000)


def mixed(person: Samples, delay: int, gain: float = 0.1, room_s: float = 0.0) -> Samples:
    """`person` from ONSET on, over the agent's voice, up to KEPT samples later, as it is at the client.

    The voice comes back dry, or from a room that reverberates for `room_s`.
    """
    end = ONSET + KEPT
    tail = np.random.default_rng(1).normal(size=int(16_000 * room_s))
    tail *= np.exp(-6.9 * np.arange(tail.size) / max(1, tail.size)) / 20
    echo = np.convolve(through_opus(AGENT).astype(np.float64), np.concatenate([[1.0], tail]))
    echo = np.concatenate([np.zeros(delay), echo])[:end]
    sound = gain * echo + NOISE[:end]
    sound[ONSET:] += person[:KEPT]
    return np.asarray(sound.clip(-32768, 32767), np.int16)


def heard(person: Samples, delay: int, gain: float = 0.1, room_s: float = 0.0) -> Samples:
    """The same as it arrives here."""
    sound = mixed(person, delay, gain, room_s)
    return through_opus(np.pad(sound, (0, 320)))[: sound.size]


def played(end: int) -> Samples:
    return AGENT[max(0, end - PLAYED) : end]


def power(samples: Samples) -> float:
    return float(np.mean(samples.astype(np.float64) ** 2))


@pytest.mark.parametrize("delay", [0, 700, 2500])
@pytest.mark.parametrize(("room_s", "less"), [(0.0, 8.0), (0.2, 3.0)])
def test_the_agents_voice_is_taken_away(delay: int, room_s: float, less: float) -> None:
    sound = heard(np.zeros(KEPT, np.int16), delay, room_s=room_s)
    rest = without_echo(sound, played(sound.size), ONSET)
    assert power(sound[ONSET:]) > 100, "there is an echo at all"
    assert power(rest[ONSET:]) < power(sound[ONSET:]) / less


@pytest.mark.parametrize("delay", [700, 2500])
def test_the_persons_voice_stays_as_it_is(delay: int) -> None:
    speech = recording("what_can_you_do.wav")
    loud = int(np.argmax(np.abs(speech)))
    person = speech[max(0, loud - KEPT // 2) :][:KEPT]
    # Before Opus, which codes a voice otherwise where another is with it.
    alone, sound = mixed(person, delay, gain=0.0), mixed(person, delay)
    rest = without_echo(sound, played(sound.size), ONSET)
    assert rest.size == sound.size
    difference = rest[ONSET:].astype(np.int32) - alone[ONSET:]
    assert power(difference) < power(sound[ONSET:].astype(np.int32) - alone[ONSET:]) / 4
    assert power(difference) < power(alone[ONSET:]) / 100


def test_sound_without_an_echo_is_returned_as_it_is() -> None:
    sound = heard(recording("what_can_you_do.wav")[4000:], 700, gain=0.0)
    assert without_echo(sound, played(sound.size), ONSET) is sound


def test_a_voice_before_the_onset_that_is_not_the_agents_is_left_alone() -> None:
    other = recording("what_can_you_do.wav")[: ONSET + KEPT]
    assert without_echo(other, played(other.size), ONSET) is other


@pytest.mark.parametrize("before", [0, NEEDED - 1])
def test_too_little_sound_teaches_nothing(before: int) -> None:
    sound = heard(np.zeros(KEPT, np.int16), 700)[ONSET - before :]
    assert without_echo(sound, played(ONSET + KEPT), before) is sound


@pytest.mark.parametrize("silence", [np.zeros(0, np.int16), np.zeros(PLAYED, np.int16)])
def test_an_agent_that_was_silent_leaves_no_echo(silence: Samples) -> None:
    sound = heard(recording("what_can_you_do.wav")[4000:], 700)
    assert without_echo(sound, silence, ONSET) is sound
