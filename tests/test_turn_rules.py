"""What eagerness means: the same order of waits, whatever was said and thought of it."""

import pytest

from orchestrator.config import Eagerness, SessionConfig, TurnDetection
from orchestrator.core.waits import WORDS, opinions, wait_ms
from orchestrator.turn_rules import endpointing_rules


def waits(eagerness: Eagerness, *, paused: bool) -> list[int]:
    """Of every kind of words and every opinion."""
    rules = endpointing_rules(SessionConfig(turn_detection=TurnDetection("semantic_vad", eagerness=eagerness)))
    return [
        wait_ms(words, confidence, opinion, paused=paused, rules=rules)
        for words, confidence in WORDS.values()
        for opinion in opinions(rules).values()
    ]


@pytest.mark.parametrize("paused", [False, True])
def test_the_eager_wait_no_longer_and_the_patient_no_shorter(paused: bool) -> None:
    high, auto, low = (waits(each, paused=paused) for each in ("high", "auto", "low"))
    assert all(eager <= usual <= patient for eager, usual, patient in zip(high, auto, low, strict=True))
    assert waits("medium", paused=paused) == auto


def test_an_eager_agent_outlasts_no_pause_of_a_second_and_a_half() -> None:
    assert max(waits("high", paused=False) + waits("high", paused=True)) <= 1400


def test_a_patient_agent_gives_even_complete_sentences_half_a_second() -> None:
    assert min(waits("low", paused=False)) >= 500
