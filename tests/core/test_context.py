from itertools import cycle
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.context import CLIPPED_TOKENS, KEPT_TOKENS, PROMPT_TOKENS, REQUEST_TOKENS, to_summarise
from orchestrator.core.history import Item, Role


def cost(text: str) -> int:
    """A letter is a token."""
    return len(text)


def dense(text: str) -> int:
    """An ASCII character is a quarter of a token, any other is one."""
    return sum(1 if character.isascii() else 4 for character in text) // 4


def talk(*lengths: int) -> list[Item]:
    """A user's and an assistant's items in turn, so many letters long."""
    roles: cycle[Role] = cycle(("user", "assistant"))
    return [Item(str(index), next(roles), "x" * length) for index, length in enumerate(lengths)]


def ids(items: list[Item]) -> list[str]:
    return [item.id for item in items]


def test_the_oldest_items_are_summarised_and_the_newest_kept_from_a_users_on() -> None:
    # The last three fit, but the first of them is an answer, whose question would be missing.
    items = talk(1000, 1000, 1000, 900, 800, 700)
    assert ids(to_summarise(items, cost)) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("items", [[], talk(9_000)])
def test_there_is_nothing_to_summarise_behind_the_last_item(items: list[Item]) -> None:
    assert to_summarise(items, cost) == []


def test_the_last_item_is_kept_however_long_it_is() -> None:
    assert ids(to_summarise(talk(10, 10, 9_000), cost)) == ["0", "1"]


def test_what_is_kept_leaves_room_for_long_instructions() -> None:
    items = talk(500, 500, 500, 500)
    assert to_summarise(items, cost) == []
    assert ids(to_summarise(items, cost, pinned=PROMPT_TOKENS - 2_000)) == ["0", "1"]


def test_a_long_item_is_clipped_and_more_than_one_prompt_can_hold_waits() -> None:
    first, *others = to_summarise(talk(20_000, 4_000, 2_000, 2_000, 1_000), cost)
    assert first.text == "x" * CLIPPED_TOKENS + "…"
    assert first.id == "0"
    assert ids(others) == ["1"]


def test_a_long_item_whose_beginning_is_dense_is_clipped_to_what_fits() -> None:
    """Chinese and then code, say: most of its tokens are in the part that stays."""
    first, *_ = to_summarise([Item("0", "user", "长" * 4_000 + "x" * 20_000), *talk(10, 10)], dense)
    assert dense(first.text) <= CLIPPED_TOKENS + 1
    assert len(first.text) > CLIPPED_TOKENS / 2


def test_where_nothing_else_fits_it_comes_to_an_end_all_the_same() -> None:
    """A message has its marks' tokens, too, be it empty."""
    first, *_ = to_summarise(talk(100, 100), lambda text: 8 + len(text), pinned=PROMPT_TOKENS + 500)
    assert first.text == "…"


@given(
    st.lists(st.tuples(st.sampled_from(get_args(Role)), st.integers(1, 9_000)), max_size=20),
    st.integers(0, 3_000),
)
def test_whatever_was_said_summarising_comes_to_an_end_and_reads_what_fits(
    said: list[tuple[Role, int]], pinned: int
) -> None:
    items = [Item(str(index), role, "x" * length) for index, (role, length) in enumerate(said)]
    left = list(items)
    while chosen := to_summarise(left, cost, pinned=pinned):
        assert sum(cost(item.text) for item in chosen) <= PROMPT_TOKENS - REQUEST_TOKENS - pinned + 1
        assert ids(chosen) == ids(left[: len(chosen)]), "the oldest, in order"
        left = left[len(chosen) :]
    assert left or not items, "the last item is always kept"
    assert sum(cost(item.text) for item in left[:-1]) <= KEPT_TOKENS
