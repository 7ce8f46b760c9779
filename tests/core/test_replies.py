import pytest

from orchestrator.core.replies import is_reply


@pytest.mark.parametrize("question", ["Red or blue then?", "Shall I book it? ", 'She asked "why?"', "赤ですか？"])
@pytest.mark.parametrize(
    ("text", "reply"),
    [("Blue.", True), ("Yes.", True), ("okay", True), ("uh-huh", False), ("the", False), ("はい", True), ("", False)],
)
def test_a_word_over_the_end_of_a_question_replies_to_it_but_a_sound_does_not(
    text: str, question: str, reply: bool
) -> None:
    assert is_reply(text, to=question) is reply


@pytest.mark.parametrize("statement", ["It is booked.", "Is it? It is.", ""])
@pytest.mark.parametrize("text", ["Yes.", "okay", "uh-huh", "right", ""])
def test_a_sign_of_listening_over_the_end_of_a_statement_is_no_reply(text: str, statement: str) -> None:
    assert not is_reply(text, to=statement)
