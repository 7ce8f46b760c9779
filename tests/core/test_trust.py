"""What the model's opinions come to be worth. How long a silence must be by that: test_waiting.py."""

import pytest

from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.experience import LEAST, Experience
from orchestrator.core.trust import MOST_VAIN_DOUBTS, Outlook, Trust

DEFAULT = Rules()
CERTAIN, DOUBT = 0.99, 0.05


def trust(experience: Experience | None = None) -> Trust:
    return Trust(DEFAULT, experience or Experience())


def end(trust: Trust, opinion: float | None, *, tells: bool = True, complete: bool = True) -> None:
    trust.ended(opinion, tells=tells, complete=complete)


def go_on(trust: Trust, opinion: float | None, *, tells: bool = True, lasted: bool = True) -> None:
    trust.went_on(opinion, tells=tells, complete=True, lasted=lasted)


@pytest.mark.parametrize(
    ("opinion", "outlook"),
    [
        (None, None),
        (1.0, Outlook.CERTAIN),
        (DEFAULT.model_certain, Outlook.CERTAIN),
        (DEFAULT.model_sure, Outlook.SURE),
        (DEFAULT.model_inclined, Outlook.INCLINED),
        (0.5, Outlook.OPEN),
        (DEFAULT.model_doubts, Outlook.DOUBTED),
        (DEFAULT.model_denies, Outlook.DENIED),
        (0.0, Outlook.DENIED),
    ],
)
def test_an_opinion_is_taken_for_what_it_says_in_the_beginning(opinion: float | None, outlook: Outlook | None) -> None:
    assert trust().outlook(opinion) is outlook


def test_a_model_that_doubts_ends_in_vain_does_not_count_until_its_doubts_were_right_again() -> None:
    one = trust()
    for _ in range(2 * MOST_VAIN_DOUBTS):
        end(one, DOUBT)
    assert one.outlook(CERTAIN) is None
    right = 0
    while one.discredited:
        go_on(one, DOUBT)
        right += 1
    assert 1 < right <= MOST_VAIN_DOUBTS
    assert one.outlook(CERTAIN) is Outlook.CERTAIN


def test_doubts_that_the_words_share_tell_nothing() -> None:
    one = trust()
    for _ in range(MOST_VAIN_DOUBTS):
        end(one, DOUBT, tells=False)
        go_on(one, DOUBT, tells=False)
    assert one.unbroken
    assert not one.doubts_rightly


def test_a_doubt_between_two_words_is_no_proof() -> None:
    one = trust()
    go_on(one, DOUBT, lasted=False)
    assert not one.doubts_rightly
    go_on(one, DOUBT)
    assert one.doubts_rightly
    end(one, DOUBT)
    assert not one.doubts_rightly, "the last one was in vain"


def test_the_opposite_is_learned_of_an_end_that_was_none() -> None:
    one = trust()
    end(one, DOUBT)
    assert not one.unbroken
    one.cut_off()
    assert one.unbroken
    assert one.doubts_rightly


def test_of_one_end_the_opposite_is_learned_once() -> None:
    one = trust()
    for _ in range(MOST_VAIN_DOUBTS):
        end(one, DOUBT)
    for _ in range(3):  # speech, a sound that was none, speech
        one.cut_off()
    assert one.discredited


def test_others_are_taught_the_opposite_too() -> None:
    experience = Experience()
    for _ in range(LEAST):
        one = trust(experience)
        end(one, DOUBT)
        one.cut_off()
    assert experience.trusts
    assert trust(experience).doubts_rightly


def test_who_taught_enough_already_corrects_nothing() -> None:
    experience = Experience()
    one = trust(experience)
    for _ in range(LEAST):  # more than one speaker's lessons
        end(one, DOUBT)
    one.cut_off()
    for _ in range(LEAST):
        end(trust(experience), DOUBT)
    assert experience.distrusts
