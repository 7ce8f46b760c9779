"""The conversation's documentation is the table's."""

from pathlib import Path

from orchestrator.core.diagram import document

DOCUMENT = Path(__file__).parents[2] / "docs" / "conversation.md"


def test_the_documented_diagram_is_the_tables() -> None:
    assert DOCUMENT.read_text() == document(), "run: python -m orchestrator.core.diagram > docs/conversation.md"
