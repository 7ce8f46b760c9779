"""What the level tells: silence, and voices in the background."""

from orchestrator.core.endpointing import Ended, Resumed
from tests.core.microphone import DEFAULT, LINGERING, SILENCE, SPEECH, WINDOW, Microphone, speaking


def known() -> Microphone:
    """A speaker whose level is known from a turn."""
    microphone = speaking("what time is it")
    microphone.silence_until_the_end_ms()
    return microphone


def softer(by_db: float) -> tuple[float, float]:
    return SPEECH[0], SPEECH[1] - by_db


def test_a_far_voice_is_told_from_the_speaker_once_it_is_known_how_loud_that_one_is() -> None:
    microphone = Microphone()
    microphone.hears(softer(30))
    assert not microphone.endpointer.faint
    assert not microphone.endpointer.distant
    microphone = known()
    for below_db, faint in ((3.0, False), (DEFAULT.faint_db - 3, False), (DEFAULT.faint_db + 3, True)):
        microphone.hears(softer(below_db))
        assert microphone.endpointer.faint is faint


def test_a_voice_is_distant_until_it_was_nearly_as_loud_as_the_speaker() -> None:
    endpointer = (microphone := known()).endpointer
    microphone.hears(softer(DEFAULT.distant_db + 3))
    assert endpointer.distant
    microphone.hears(softer(DEFAULT.distant_db - 3))
    microphone.hears(softer(DEFAULT.distant_db + 3), 320)
    assert not endpointer.distant


def test_after_a_voice_in_the_background_the_next_soft_onsets_are_no_speakers() -> None:
    endpointer = (microphone := known()).endpointer
    between = softer((DEFAULT.faint_db + DEFAULT.distant_db) / 2)
    microphone.hears(between)
    assert not endpointer.faint
    endpointer.beware()
    for _ in range(4):  # each of them makes it last longer
        microphone.hears(SILENCE, 640)
        assert microphone.hears(between) != []
        assert endpointer.faint
        endpointer.dismiss()
    assert microphone.hears(SPEECH) != [], "the speaker is heard at once"
    assert not endpointer.faint
    microphone.silence_until_the_end_ms()
    microphone.hears(SILENCE, DEFAULT.wary_ms)
    microphone.hears(between)
    assert not endpointer.faint, "it has been quiet for long enough"


def test_silence_begins_where_the_level_falls_though_the_detector_lingers() -> None:
    microphone = speaking("what time is it")
    last_speech = microphone.position
    microphone.hears(LINGERING, 192)
    microphone.hears(SILENCE, 320)
    assert microphone.signals[-1] == Ended(last_speech, last_speech + 7 * WINDOW)


def test_a_shout_does_not_turn_quiet_speech_into_silence_for_long() -> None:
    microphone = speaking("and then i")
    microphone.hears((0.95, -5.0), 96)
    microphone.hears((0.9, -30.0), 640)
    assert isinstance(microphone.signals[-1], Resumed)
