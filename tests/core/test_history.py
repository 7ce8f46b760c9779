from dataclasses import replace

import pytest

from orchestrator.core.functions import FunctionCall
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


def test_a_summary_stands_behind_the_instructions_for_the_items_that_it_covers() -> None:
    history = history_of("a", "b", "c")
    history.summarise([history["a"], history["b"]], "Two things were said.")
    pinned, *said = history.messages("Be brief.")
    assert pinned.role == "system"
    assert pinned.content.startswith("Be brief.\n\n")
    assert pinned.content.endswith("\nTwo things were said.")
    assert said == [Message("user", "text of c")]
    assert ids(history) == ["a", "b", "c"], "clients still find every item"


def test_a_new_summary_stands_for_what_the_last_one_covered_too() -> None:
    history = history_of("a", "b", "c")
    history.summarise([history["a"]], "One.")
    history.summarise([history["b"]], "One and two.")
    (pinned, last) = history.messages("")
    assert pinned.content.endswith("One and two.")
    assert last.content == "text of c"


def test_messages_can_be_made_of_the_items_of_an_earlier_moment() -> None:
    history = history_of("a", "b")
    earlier = tuple(history)
    history.add(Item("c", "user", "later"))
    history.summarise([history["a"]], "One.")
    assert [message.content for message in history.messages("", earlier)][1:] == ["text of b"]


def test_an_id_whose_item_was_deleted_is_no_longer_covered() -> None:
    history = history_of("a", "b")
    history.summarise([history["a"]], "One.")
    history.delete("a")
    history.add(Item("a", "user", "again"))
    assert [item.id for item in history.unsummarised()] == ["b", "a"]


CALL = FunctionCall("call_1", "get_weather", '{"city": "Paris"}')
OTHER = FunctionCall("call_2", "get_time", "{}")


def called(call: FunctionCall) -> Item:
    return Item(f"item_{call.call_id}", "assistant", call.arguments, call_id=call.call_id, function=call.name)


def came(call: FunctionCall, output: str) -> Item:
    return Item(f"output_{call.call_id}", "tool", output, call_id=call.call_id)


def chat(*items: Item) -> list[Message]:
    history = History()
    for item in items:
        history.add(item)
    return history.messages("")


def test_a_call_goes_with_what_was_said_and_its_output_follows() -> None:
    said = Item("a", "assistant", "Let me see.")
    assert chat(said, called(CALL), came(CALL, "21")) == [
        Message("assistant", "Let me see.", calls=(CALL,)),
        Message("tool", "21", call_id="call_1"),
    ]


def test_calls_of_one_response_go_together_and_one_after_an_output_does_not() -> None:
    third = replace(CALL, call_id="call_3")
    assert chat(called(CALL), called(OTHER), came(OTHER, "noon"), came(CALL, ""), called(third)) == [
        Message("assistant", "", calls=(CALL, OTHER)),
        Message("tool", "", call_id="call_1"),
        Message("tool", "noon", call_id="call_2"),
        Message("assistant", "", calls=(third,)),
        Message("tool", "The result is not there yet.", call_id="call_3"),
    ]


def test_an_output_follows_its_call_whatever_was_said_meanwhile() -> None:
    meanwhile = Item("u", "user", "Hurry.")
    assert chat(called(CALL), meanwhile, came(CALL, "21")) == [
        Message("assistant", "", calls=(CALL,)),
        Message("tool", "21", call_id="call_1"),
        Message("user", "Hurry."),
    ]


def test_an_output_without_its_call_means_nothing_to_a_model() -> None:
    history = History()
    for item in (called(CALL), came(CALL, "21"), Item("u", "user", "Thanks.")):
        history.add(item)
    assert history.has_call("call_1")
    history.delete("item_call_1")
    assert not history.has_call("call_1")
    assert history.messages("") == [Message("user", "Thanks.")]


def test_an_output_that_the_agent_spoke_on_before_is_what_is_answered_now() -> None:
    spoken = [Item("u", "user", "Your name?"), Item("a", "assistant", "Ada.")]
    assert chat(called(CALL), called(OTHER), came(OTHER, "noon"), *spoken, came(CALL, "21")) == [
        Message("assistant", "", calls=(OTHER,)),
        Message("tool", "noon", call_id="call_2"),
        Message("user", "Your name?"),
        Message("assistant", "Ada.", calls=(CALL,)),
        Message("tool", "21", call_id="call_1"),
    ]


def test_a_call_waits_for_its_output_until_the_user_has_said_something() -> None:
    history = History()
    history.add(called(CALL))
    assert history.awaits_output
    history.add(Item("a", "assistant", "I look."))
    assert history.awaits_output
    history.add(Item("u", "user", "Never mind."))
    assert not history.awaits_output
    history.add(called(OTHER))
    assert history.awaits_output
    history.add(came(OTHER, "noon"))
    assert not history.awaits_output
