"""The level of backpressure follows the load: at once upwards, after a while of calm downwards."""

import pytest

from orchestrator.core.pressure import CALM_S, ENTERED_AT, MODEL_TURNS, MODEL_WINDOW_S, WINDOW_S, Level, Pressure

LIMIT_S = 0.1


class Process:
    """Seconds that pass one after another."""

    def __init__(self) -> None:
        self.pressure = Pressure(limit_s=LIMIT_S, model_limit_s=2.0)
        self.at_s = 1000.0

    def seconds(self, count: int, late_s: float) -> list[Level]:
        levels = []
        for _ in range(count):
            self.at_s += 1
            levels.append(self.pressure.second_passed(late_s, self.at_s))
        return levels


@pytest.mark.parametrize("level", [level for level in Level if level is not Level.NORMAL])
def test_each_level_is_entered_at_its_load_and_not_before(level: Level) -> None:
    late_s = LIMIT_S * ENTERED_AT[level]
    assert Process().seconds(10, late_s * 0.99)[-1] == level - 1
    assert Process().seconds(10, late_s * 1.01)[-1] is level


def test_a_stall_does_not_make_a_process_full_but_one_that_comes_back_does() -> None:
    process = Process()
    for _ in range(2):
        assert process.seconds(1, 5.0) == [Level.NORMAL]
        process.seconds(2, 0.0)
    assert process.seconds(1, 5.0) == [Level.SESSION_REJECT]


def test_stalls_that_are_far_apart_do_not_add_up() -> None:
    process = Process()
    for _ in range(10):
        assert process.seconds(1, 5.0) == [Level.NORMAL]
        assert set(process.seconds(int(WINDOW_S), 0.0)) == {Level.NORMAL}


def test_a_level_is_left_when_it_has_been_calm_for_a_while() -> None:
    process = Process()
    process.seconds(10, LIMIT_S)
    levels = process.seconds(30, 0.0)
    assert levels[-1] is Level.NORMAL
    calm = levels.index(Level.NORMAL)
    assert WINDOW_S - 3 + CALM_S - 1 <= calm <= WINDOW_S + CALM_S
    assert set(levels[:calm]) == {Level.SESSION_REJECT}, "what was needed lately still holds"


def test_a_load_around_a_threshold_does_not_make_the_level_flicker() -> None:
    process = Process()
    process.seconds(10, LIMIT_S * 0.56)
    levels = [process.seconds(1, LIMIT_S * load)[0] for load in [0.54, 0.5, 0.57, 0.46] * 20]
    assert set(levels) == {Level.VERBOSITY_REDUCE}


def test_falling_load_leads_down_to_the_level_that_it_still_needs() -> None:
    process = Process()
    process.seconds(10, LIMIT_S)
    assert process.seconds(30, LIMIT_S * 0.6)[-1] is Level.TOOL_REFUSE  # 0.6 is above what leaves it
    assert process.seconds(30, LIMIT_S * 0.45)[-1] is Level.VERBOSITY_REDUCE
    assert process.seconds(30, LIMIT_S * 0.1)[-1] is Level.NORMAL


def test_slow_models_are_pressure_once_several_turns_say_so_and_are_forgotten() -> None:
    process = Process()
    for _ in range(MODEL_TURNS - 1):
        process.pressure.answered(9.0, process.at_s)
    assert process.seconds(1, 0.0) == [Level.NORMAL]
    process.pressure.answered(9.0, process.at_s)
    assert process.seconds(1, 0.0) == [Level.SESSION_REJECT]
    assert process.seconds(int(MODEL_WINDOW_S + CALM_S) + 1, 0.0)[-1] is Level.NORMAL


def test_one_slow_turn_among_quick_ones_is_no_pressure() -> None:
    process = Process()
    for delay_s in (0.1, 0.1, 9.0, 0.1, 0.1, 9.0, 0.1):
        process.pressure.answered(delay_s, process.at_s)
    assert process.seconds(1, 0.0) == [Level.NORMAL]
