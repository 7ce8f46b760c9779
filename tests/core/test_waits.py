"""The documentation of the endpointer's waits is that of its rules."""

from pathlib import Path

from orchestrator.core.endpointing_rules import Rules
from orchestrator.core.waits import document, opinions, wait_ms

DOCUMENT = Path(__file__).parents[2] / "docs" / "endpointing.md"


def test_the_documented_waits_are_the_rules() -> None:
    assert DOCUMENT.read_text() == document(), "run: python -m orchestrator.core.waits > docs/endpointing.md"


def test_the_opinions_of_the_table_are_one_of_each_kind() -> None:
    rules = Rules()
    waits = [wait_ms("", None, each, paused=False, rules=rules) for each in opinions(rules).values()]
    assert waits[1:] == sorted(waits[1:]), "the less the model believes in an end, the longer the wait"
    assert len(set(waits)) >= 5
