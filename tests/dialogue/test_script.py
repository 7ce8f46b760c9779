from collections import Counter

from benchmarks.dialogue.report import EARLY_TURNS
from benchmarks.dialogue.script import (
    BROKEN,
    LONG_CALL,
    SENTENCES_SO_FAR,
    VOICES,
    Disturb,
    Interrupt,
    Say,
    beginnings,
    broken,
    daily,
    nightly,
    turn_taking,
)


def pauses_ms() -> list[int]:
    parts = [part for script in daily() for step in script.steps if isinstance(step, Say) for part in step.parts]
    return [part for part in parts if isinstance(part, int)]


def test_a_script_is_known_by_its_name() -> None:
    names = [script.name for script in nightly()]
    assert len(names) == len(set(names))
    assert {script.name for script in daily()} <= set(names)


def test_every_run_has_all_voices_disturbances_and_lengths_of_pauses() -> None:
    scripts = daily()
    assert {script.voice for script in scripts} == set(VOICES)
    disturbances = {step.sound for script in scripts for step in script.steps if isinstance(step, Disturb)}
    assert disturbances == {"cough", "uh huh", "right", "door", "side speech"}
    assert sum(pause <= 700 for pause in pauses_ms()) >= 20, "5 % of fewer cannot be told"
    assert min(pauses_ms()) == 200
    assert max(pauses_ms()) == 1200
    assert sum(isinstance(step, Interrupt) for script in scripts for step in script.steps) >= 5
    assert any(script.echo_db is not None for script in scripts)


def test_every_voice_has_a_call_that_is_long_enough_to_get_used_to_it() -> None:
    long = {script.voice for script in daily() if len(script.steps) == LONG_CALL}
    assert long == set(VOICES)


def test_early_and_later_turns_have_the_same_sentences() -> None:
    calls = [script.steps for script in daily() if len(script.steps) == LONG_CALL and script.noise is None]
    early = Counter(step for steps in calls for step in steps[:EARLY_TURNS])
    later = Counter(step for steps in calls for step in steps[EARLY_TURNS:])
    assert later == Counter({step: 2 * count for step, count in early.items()})


def test_a_sentence_with_more_places_than_pauses_has_the_last_pause_again() -> None:
    index = next(index for index, parts in enumerate(BROKEN) if len(parts) == 3)
    first, second, third = BROKEN[index]
    assert broken(index, 300, 500).parts == (first, 300, second, 500, third)
    assert broken(index, 300).parts == (first, 300, second, 300, third)


def test_each_pause_has_its_beginning_and_some_could_be_all() -> None:
    assert beginnings(Say(("I had", 300, "a bad", 200, "day."))) == ["I had", "I had a bad"]
    said = {beginning for index in range(len(BROKEN)) for beginning in beginnings(broken(index, 300))}
    assert said > SENTENCES_SO_FAR


def test_any_agent_can_be_judged_by_the_scripts_without_interruptions() -> None:
    names = {script.name for script in turn_taking()}
    assert {"questions-slt", "pauses-in-noise", "dictation"} <= names
    assert not {"interruption", "cough", "echo"} & names
