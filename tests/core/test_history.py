import pytest

from orchestrator.core.history import History, Item, Message


def history_of(*ids: str) -> History:
    history = History()
    for item_id in ids:
        history.add(Item(item_id, "user", f"text of {item_id}"))
    return history


def ids(history: History) -> list[str]:
    return [item.id for item in history]


def test_items_keep_the_order_in_which_they_were_added() -> None:
    assert ids(history_of("a", "b", "c")) == ["a", "b", "c"]


def test_an_item_can_be_added_after_another_or_at_the_start() -> None:
    history = history_of("a", "b")
    history.add(Item("x", "user", ""), after="a")
    history.add(Item("y", "user", ""), after="root")
    assert ids(history) == ["y", "a", "x", "b"]


def test_an_id_is_used_once() -> None:
    history = history_of("a")
    with pytest.raises(ValueError, match="'a' is in the conversation already"):
        history.add(Item("a", "assistant", "again"))
    assert history["a"].role == "user"


def test_a_deleted_id_can_be_used_again() -> None:
    history = history_of("a", "b")
    history.delete("a")
    history.add(Item("a", "user", "again"))
    assert ids(history) == ["b", "a"]


def test_an_unknown_id_is_a_key_error_and_changes_nothing() -> None:
    history = history_of("a")
    for refuse in (
        lambda: history["x"],
        lambda: history.delete("x"),
        lambda: history.set_text("x", ""),
        lambda: history.previous_id("x"),
        lambda: history.add(Item("b", "user", ""), after="x"),
    ):
        with pytest.raises(KeyError):
            refuse()
    assert ids(history) == ["a"]


def test_the_item_before_the_first_is_none() -> None:
    history = history_of("a", "b")
    assert history.previous_id("a") is None
    assert history.previous_id("b") == "a"


def test_a_growing_item_takes_its_text_and_completes() -> None:
    history = History()
    history.add(Item("a", "assistant", "", "audio", complete=False))
    assert not history.set_text("a", "Hello", complete=False).complete
    assert history.set_text("a", "Hello there.") == history["a"] == Item("a", "assistant", "Hello there.", "audio")


def test_messages_are_the_instructions_and_every_item_with_words() -> None:
    history = History()
    history.add(Item("s", "system", "Be kind."))
    history.add(Item("u", "user", "Hello"))
    history.add(Item("unheard", "assistant", " "))
    history.add(Item("u2", "user", "Are you there?"))
    assert history.messages("Be brief.") == [
        Message("system", "Be brief."),
        Message("system", "Be kind."),
        Message("user", "Hello"),
        Message("user", "Are you there?"),
    ]
    assert history.messages("")[0] == Message("system", "Be kind.")
