"""The conversation, documented from its table: `python -m orchestrator.core.diagram > docs/conversation.md`."""

import re
import sys

from orchestrator.core.conversation import TABLE, Row
from orchestrator.core.events import State

_INTRODUCTION = """# The conversation

Made from the table in `orchestrator/core/conversation.py` by `python -m orchestrator.core.diagram`; a test holds it
current. In any state a hang-up closes the session. An event that has no row in its state is ignored: it came late.
What is kept is taken up, in its order, on the next entry into LISTENING.
"""


def words(name: str) -> str:
    """'SpeechStarted' → 'speech started'."""
    return re.sub(r"(?<=.)([A-Z])", r" \1", name.replace("_", " ")).lower()


def label(row: Row) -> str:
    """The event and the condition of a row."""
    condition = row.condition.__doc__ or ""
    return words(row.event.__name__) + (f" [{condition}]" if condition else "")


def document() -> str:
    """docs/conversation.md as it should be: a Mermaid state diagram and the table."""
    lines = [_INTRODUCTION, "```mermaid", "stateDiagram-v2", f"    [*] --> {State.IDLE.name}"]
    seen = set()
    for row in TABLE:
        edge = f"    {row.state.name} --> {row.to.name}: {words(row.event.__name__)}"
        if row.to is not row.state and edge not in seen:
            seen.add(edge)
            lines.append(edge)
    lines += ["```", "", "| state | event | does | next state |", "|---|---|---|---|"]
    lines += [f"| {row.state.name} | {label(row)} | {words(row.action.__name__)} | {row.to.name} |" for row in TABLE]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
