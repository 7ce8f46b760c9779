import json
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.call_reader import CallReader, beginning, read_object
from orchestrator.core.functions import Function, FunctionCall, Functions

WEATHER = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
OFFERED = (Function("get_weather"), Function("stop"))
Read = list[str | FunctionCall]


def reader() -> CallReader:
    numbers = count(1)
    return CallReader(lambda: f"call_{next(numbers)}")


def call(number: int, name: str, **arguments: object) -> FunctionCall:
    return FunctionCall(f"call_{number}", name, json.dumps(arguments))


def joined(read: Read) -> Read:
    """With texts that follow each other as one."""
    whole: Read = []
    for each in read:
        if whole and isinstance(each, str) and isinstance(whole[-1], str):
            whole[-1] += each
        else:
            whole.append(each)
    return whole


def read_in(chunks: list[str], *, cut_short: bool = False) -> Read | str:
    """What comes of these chunks; "unreadable" where that is an error."""
    reading = reader()
    try:
        read = [each for chunk in chunks for each in reading.push(chunk)]
        return joined([*read, *reading.finish(cut_short=cut_short)])
    except ValueError:
        return "unreadable"


def test_an_answer_without_a_call_is_what_was_written() -> None:
    assert read_in(["It is", " five", " o'clock."]) == ["It is five o'clock."]


def test_a_call_is_read_once_it_is_closed() -> None:
    reading = reader()
    for character in WEATHER[:-1]:
        assert reading.push(character) == []
    assert reading.push(">") == [call(1, "get_weather", city="Oslo")]
    assert reading.finish() == []


def test_what_is_said_before_between_and_behind_calls_keeps_its_place() -> None:
    text = f'I look. {WEATHER}\n<tool_call>{{"name": "stop"}}</tool_call>\n\nDone, or not.'
    assert read_in([text]) == ["I look. ", call(1, "get_weather", city="Oslo"), call(2, "stop"), "Done, or not."]


def test_white_space_around_calls_is_nothing_to_be_said() -> None:
    assert read_in(["\n\n", WEATHER, "\n", WEATHER, " \n"]) == [
        call(1, "get_weather", city="Oslo"),
        call(2, "get_weather", city="Oslo"),
    ]


def test_text_is_held_back_only_while_it_may_begin_a_call() -> None:
    reading = reader()
    assert reading.push("3 <") == ["3 "]
    assert reading.push("t") == []
    assert reading.push("wo") == ["<two"]
    assert reading.push(" <tool_cal") == [" "]
    assert reading.finish() == ["<tool_cal"]


@pytest.mark.parametrize("end", ["", "\n"])
def test_the_last_call_needs_no_closing_mark(end: str) -> None:
    assert read_in([f'<tool_call>{{"name": "stop"}}{end}']) == [call(1, "stop")]


def test_of_an_answer_that_is_cut_short_half_a_call_is_dropped_and_a_whole_one_kept() -> None:
    half = '<tool_call>{"name": "get_weather", "arguments": {"ci'
    assert read_in([f"I look. {half}"], cut_short=True) == ["I look. "]
    assert read_in([f"I look. {half}"]) == "unreadable"
    assert read_in(['<tool_call>{"name": "stop"}</tool'], cut_short=True) == []
    assert read_in(['<tool_call>{"name": "stop"}'], cut_short=True) == [call(1, "stop")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("get_weather(Oslo)", "no JSON object: 'get_weather"),
        ("", "no JSON object: ''"),
        ('["get_weather"]', "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ('{"arguments": {}}', "names no function"),
        ('{"name": 7}', "names no function"),
        ('{"name": "stop", "arguments": "now"}', "arguments are no object"),
        ('{"name": "stop", "arguments": null}', "arguments are no object"),
        ('{"name": "stop", "arguments": {"in_s": NaN}}', "no JSON object"),
        ('{"name": "stop", "arguments": {"in_s": 1e999}}', "no JSON object"),
    ],
)
def test_what_is_wrong_with_a_call_is_told_in_short(body: str, said: str) -> None:
    reading = reader()
    reading.push(f"<tool_call>\n{body}\n</tool_call>")
    with pytest.raises(ValueError, match=said) as caught:
        reading.finish()
    assert len(str(caught.value)) < 300


def test_arguments_are_json_that_can_be_encoded() -> None:
    body = r'{"name": "say", "arguments": {"text": "Gr\u00fc\u00dfe \ud83d\ude00 \ud83d"}}'
    (read,) = read_in([f"<tool_call>{body}</tool_call>"])
    assert isinstance(read, FunctionCall)
    assert json.loads(read.arguments.encode()) == {"text": "Grüße 😀 ?"}


@pytest.mark.parametrize("text", ["[]", "7", "", "{", '{"a": NaN}', '{"a": -Infinity}', '{"a":' * 50_000])
def test_what_is_no_object_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_object(text)


def test_an_answer_that_has_to_call_begins_with_the_call() -> None:
    assert beginning(Functions(OFFERED)) == ""
    any_of_them = beginning(Functions(OFFERED, "required")) + 'stop", "arguments": {}}\n</tool_call>'
    assert read_in([any_of_them]) == [call(1, "stop")]
    that_one = beginning(Functions(OFFERED, "required", only="stop")) + ' {"now": true}}\n</tool_call>'
    assert read_in([that_one]) == [call(1, "stop", now=True)]


def test_a_name_that_needs_quoting_is_quoted() -> None:
    odd = Functions((Function('a"b'),), "required", only='a"b')
    assert read_in([beginning(odd) + " {}}</tool_call>"]) == [call(1, 'a"b')]


PIECES = st.sampled_from(
    ["Hello", " ", "\n", "<", "<tool", "_call>", "<tool_call>", "</tool_call>", '{"name": "stop"}', WEATHER, "}", "é"]
)


@given(st.lists(PIECES, max_size=8), st.data(), st.booleans())
def test_how_a_text_is_cut_into_chunks_changes_nothing(pieces: list[str], data: st.DataObject, cut_short: bool) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read_in(chunks, cut_short=cut_short) == read_in([text], cut_short=cut_short)


@given(st.text())
def test_of_what_is_no_call_nothing_is_lost(text: str) -> None:
    if "<tool_call>" not in text:
        assert "".join(str(each) for each in read_in(list(text))) == text.lstrip()


def test_an_argument_may_have_the_closing_mark_in_it() -> None:
    body = '{"name": "say", "arguments": {"text": "It ends with </tool_call>, so."}}'
    said = call(1, "say", text="It ends with </tool_call>, so.")
    assert read_in([f"<tool_call>{body}</tool_call> Done."]) == [said, "Done."]
    assert read_in([f"<tool_call>{body}"]) == [said]
