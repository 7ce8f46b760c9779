"""What a session gives up, and that what its client chose is not lost by it."""

import pytest

from orchestrator.config import SessionConfig
from orchestrator.core.functions import NO_FUNCTIONS, Function, Functions
from orchestrator.core.memory import Policy
from orchestrator.core.pressure import Level
from orchestrator.economy import BRIEF_TOKENS, JUDGED, TURNS_WITHOUT, Economy, effect


def test_speculation_ends_at_the_first_level_and_comes_back() -> None:
    economy = Economy()
    assert economy.policy(Policy()).speculate
    economy.level = Level.ANIMATION_YIELD
    assert economy.policy(Policy(interrupt_response=False)) == Policy(interrupt_response=False, speculate=False)
    economy.level = Level.NORMAL
    assert economy.policy(Policy()).speculate
    assert not economy.policy(Policy(speculate=False)).speculate


def test_answers_become_brief_within_what_the_client_chose() -> None:
    economy = Economy()
    chosen = SessionConfig(instructions="You sell tulips.", voice="rms")
    economy.level = Level.ANIMATION_YIELD
    assert economy.config(chosen) == chosen
    economy.level = Level.VERBOSITY_REDUCE
    brief = economy.config(chosen)
    assert brief.instructions.startswith("You sell tulips.\n")
    assert "short" in brief.instructions
    assert (brief.max_output_tokens, brief.voice) == (BRIEF_TOKENS, "rms")
    assert economy.config(SessionConfig(max_output_tokens=5)).max_output_tokens == 5


def test_speculation_that_is_nearly_always_wasted_stops_for_some_turns() -> None:
    economy = Economy()
    economy.speculated(wasted=False)
    for _ in range(JUDGED - 1):
        assert economy.policy(Policy()).speculate
        economy.speculated(wasted=True)
    for _ in range(TURNS_WITHOUT):
        assert not economy.policy(Policy()).speculate
        economy.turn_began()
    assert economy.policy(Policy()).speculate


def test_three_pauses_in_every_turn_are_no_reason_to_stop() -> None:
    economy = Economy()
    for _ in range(20):
        for wasted in (True, True, True, False):
            economy.speculated(wasted=wasted)
            assert economy.policy(Policy()).speculate


@pytest.mark.parametrize("level", Level)
def test_every_level_says_what_it_does(level: Level) -> None:
    economy, chosen = Economy(), SessionConfig(functions=Functions((Function("get_weather"),)))
    economy.level = level
    said = effect(level)
    assert said.endswith(".")
    assert ("as usual" in said) is (level is Level.NORMAL)
    assert ("begin a little later" in said) is not economy.policy(Policy()).speculate
    assert ("are shorter" in said) is (economy.config(chosen) != chosen)
    assert ("no functions" in said) is (economy.config(chosen).functions == NO_FUNCTIONS)
    assert ("new calls wait" in said) is (level is Level.SESSION_QUEUE)
    assert ("new calls are refused" in said) is (level is Level.SESSION_REJECT)
