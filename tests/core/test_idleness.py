from orchestrator.core.idleness import MOST_UNANSWERED, Idleness


def test_silence_counts_from_the_end_of_an_answer() -> None:
    idleness = Idleness()
    assert idleness.lasted(60_000, 5_000) is None, "nothing was said yet"
    idleness.answered(61_000)
    assert idleness.lasted(65_980, 5_000) is None
    assert idleness.lasted(66_000, 5_000) == 61_000


def test_a_sound_begins_it_anew() -> None:
    idleness = Idleness()
    idleness.sounded(1_000)
    assert idleness.lasted(9_000, 5_000) is None
    idleness.answered(10_000)
    idleness.sounded(14_000)
    assert idleness.lasted(18_980, 5_000) is None
    assert idleness.lasted(19_000, 5_000) == 14_000


def test_it_ends_with_another_answer() -> None:
    idleness = Idleness()
    idleness.answered(1_000)
    idleness.forget()
    assert idleness.lasted(60_000, 5_000) is None


def test_an_empty_room_is_asked_a_few_times_and_again_once_somebody_has_said_something() -> None:
    idleness = Idleness()
    for number in range(MOST_UNANSWERED + 2):
        idleness.answered(10_000 * number)
        idleness.sounded(10_000 * number + 10)  # noise is no answer
        lasted = idleness.lasted(10_000 * number + 9_000, 5_000)
        assert (lasted is not None) == (number < MOST_UNANSWERED)
        if lasted is not None:
            idleness.asked()
    idleness.heard()
    idleness.answered(91_000)
    assert idleness.lasted(96_000, 5_000) == 91_000
