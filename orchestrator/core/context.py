"""What a language model is given of a conversation that has grown long: which items a summary is to stand for."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrator.core.history import Item

CONTEXT_TOKENS = 8192
"""Of prompt and answer together: max_model_len of the llm model."""
PROMPT_TOKENS = 7500
"""The most that a prompt has; a longer conversation's older items are summarised."""
AMPLE_TOKENS = 6000
"""A prompt of more is shortened as soon as nobody waits for it."""
PINNED_TOKENS = 6500
"""The most that the instructions and the functions have together: the rest is the conversation's."""
KEPT_TOKENS = 2500
"""So much of the newest items stays word for word."""
SUMMARY_TOKENS = 400
"""The most that a summary has."""
CLIPPED_TOKENS = 3000
"""So much of a single item goes into a summary: more could not be read in one prompt beside others."""
REQUEST_TOKENS = 100
"""What `REQUEST` has, amply."""

REQUEST = (
    "Summarize our conversation up to here for your own memory, in at most 200 words and without a greeting: who I "
    "am, what I asked for and what you answered, what we agreed on and what is still open."
)


def to_summarise(items: Sequence[Item], cost: Callable[[str], int], *, pinned: int = 0) -> list[Item]:
    """The oldest items, as many as one prompt can hold, which a summary is to stand for; each clipped where it is long.

    `items` are those not summarised yet, `cost` tells how many tokens a text has, `pinned` is what the instructions
    and the summary so far have. The newest items stay: at least the last one, and then as many as fit
    `KEPT_TOKENS`, from a user's on. Empty where there is nothing but them.
    """
    kept = _first_kept(items, cost, max(0, min(KEPT_TOKENS, PROMPT_TOKENS - SUMMARY_TOKENS - pinned)))
    chosen: list[Item] = []
    room = PROMPT_TOKENS - REQUEST_TOKENS - pinned
    for item in items[:kept]:
        clipped = _clipped(item, cost, CLIPPED_TOKENS if chosen else max(1, min(CLIPPED_TOKENS, room)))
        room -= cost(clipped.text)
        if chosen and room < 0:
            break
        chosen.append(clipped)
    return chosen


def _first_kept(items: Sequence[Item], cost: Callable[[str], int], room: int) -> int:
    first = max(0, len(items) - 1)
    room -= cost(items[first].text) if items else 0
    for index in range(first - 1, -1, -1):
        room -= cost(items[index].text)
        if room < 0:
            break
        if items[index].role == "user":
            first = index
    return first


def _clipped(item: Item, cost: Callable[[str], int], most: int) -> Item:
    text = item.text
    while text and (tokens := cost(text)) > most:  # again where its beginning is denser than the rest
        text = text[: len(text) * most // tokens]
    return item if text == item.text else replace(item, text=text + "…")
