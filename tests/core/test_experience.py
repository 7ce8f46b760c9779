import pytest

from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.experience import LEAST, OF_ONE_SPEAKER, REMEMBERED, Experience
from tests.core.microphone import SILENCE, SPEECH, Microphone

DEFAULT = Rules()
DOUBT = 0.05


def taught(*vain: bool) -> Experience:
    experience = Experience()
    for each in vain:
        experience.doubted(vain=each)
    return experience


def first_wait_ms(experience: Experience) -> int:
    """How long a new speaker's first complete sentence waits, which the model doubts."""
    microphone = Microphone(experience=experience)
    microphone.hears(SPEECH, 960)
    microphone.endpointer.hear("I have some time today")
    microphone.hears(SILENCE, 128)
    microphone.endpointer.judge(DOUBT)
    return microphone.endpointer.wait_ms()


def test_the_model_is_believed_until_its_doubts_were_in_vain_for_the_most_part() -> None:
    assert not taught(*[True] * (LEAST - 1)).distrusts
    assert taught(*[True] * LEAST).distrusts
    assert not taught(*[True] * LEAST, *[False] * LEAST).distrusts


def test_the_model_is_trusted_where_its_doubts_were_seldom_in_vain() -> None:
    assert not taught(*[False] * (LEAST - 1)).trusts
    assert taught(*[False] * LEAST).trusts
    assert not taught(*[False] * LEAST, True, True).trusts
    assert first_wait_ms(taught(*[False] * LEAST)) == DEFAULT.denied_ms


def test_a_doubt_is_corrected_whose_speaker_was_only_cut_off() -> None:
    experience = taught(*[True] * LEAST)
    Experience().correct()  # of none there is nothing to be corrected
    experience.correct()
    assert experience.distrusts, "all but one were in vain"
    for _ in range(LEAST // 2):
        experience.doubted(vain=False)
    assert not experience.distrusts


def test_old_lessons_are_forgotten() -> None:
    assert not taught(*[True] * REMEMBERED, *[False] * REMEMBERED).distrusts


def test_a_new_speaker_is_judged_as_the_earlier_ones_taught() -> None:
    assert first_wait_ms(Experience()) == DEFAULT.doubted_ms
    assert first_wait_ms(taught(*[True] * LEAST)) == DEFAULT.misjudged_ms


@pytest.mark.parametrize(("right", "believed"), [(1, False), (3, True)])
def test_doubts_that_were_right_restore_the_trust_in_this_speakers_case(right: int, believed: bool) -> None:
    microphone = Microphone(experience=taught(*[True] * LEAST))
    microphone.hears(SPEECH, 960)
    for _ in range(right):
        microphone.endpointer.hear("I saw the market")
        microphone.hears(SILENCE, 160)
        microphone.endpointer.judge(DOUBT)
        microphone.hears(SPEECH, 640)
    microphone.endpointer.hear("I saw the market")
    microphone.hears(SILENCE, 128)
    microphone.endpointer.judge(DOUBT)
    assert microphone.endpointer.wait_ms() == (DEFAULT.doubted_ms if believed else DEFAULT.misjudged_ms)


def test_speakers_teach_by_complete_sentences_and_none_of_them_more_than_others() -> None:
    experience = Experience()
    talkative = Microphone(experience=experience)
    for _ in range(3 * OF_ONE_SPEAKER):
        talkative.hears(SPEECH, 960)
        talkative.endpointer.hear("I have some time today")
        talkative.hears(SILENCE, 128)
        talkative.endpointer.judge(DOUBT)
        talkative.silence_until_the_end_ms()
        talkative.hears(SILENCE, 960)
    assert not experience.distrusts
    for _ in range(LEAST - OF_ONE_SPEAKER):
        other = Microphone(experience=experience)
        other.hears(SPEECH, 960)
        other.endpointer.hear("I came home by train")
        other.hears(SILENCE, 128)
        other.endpointer.judge(DOUBT)
        assert not experience.distrusts
        other.silence_until_the_end_ms()
    assert experience.distrusts
