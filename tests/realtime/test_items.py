"""Items of a client become the conversation's own, and are shown as the API shows them."""

import json
from typing import Any

import pytest
from openai.types.realtime import ConversationItem
from pydantic import TypeAdapter

from orchestrator.core.history import Item
from orchestrator.errors import InvalidRequestError
from orchestrator.realtime.items import MAX_ID_CHARS, MAX_TEXT_CHARS, item_from_wire, item_to_wire

ADAPTER: TypeAdapter[ConversationItem] = TypeAdapter(ConversationItem)
CALL = Item("item_1", "assistant", '{"city": "Paris"}', call_id="call_1", function="get_weather")
OUTPUT = Item("item_2", "tool", "21 degrees", call_id="call_1")
WIRE_CALL = {
    "id": "item_1",
    "object": "realtime.item",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "get_weather",
    "arguments": '{"city": "Paris"}',
}
WIRE_OUTPUT = {
    "id": "item_2",
    "object": "realtime.item",
    "type": "function_call_output",
    "status": "completed",
    "call_id": "call_1",
    "output": "21 degrees",
}


def read(item: dict[str, Any], **fields: Any) -> Item:
    return item_from_wire(ADAPTER.validate_python(item | fields))


@pytest.mark.parametrize(("item", "wire"), [(CALL, WIRE_CALL), (OUTPUT, WIRE_OUTPUT)], ids=["call", "output"])
def test_calls_and_their_outputs_are_the_same_both_ways(item: Item, wire: dict[str, Any]) -> None:
    assert json.loads(item_to_wire(item).model_dump_json(exclude_unset=True)) == wire
    assert read(wire) == item


def test_a_call_that_has_just_begun_has_no_arguments_yet() -> None:
    shown = item_to_wire(CALL, status="in_progress", empty=True).model_dump()
    assert shown == {**WIRE_CALL, "status": "in_progress", "arguments": ""}


def test_what_has_no_id_gets_one_and_an_output_may_be_empty() -> None:
    call = read({"type": "function_call", "name": "get_time", "arguments": "{}"})
    assert call.id.startswith("item_")
    assert call.call_id is not None
    assert call.call_id.startswith("call_")
    assert call.text == "{}"
    output = read({"type": "function_call_output", "call_id": "call_1", "output": ""})
    assert (output.role, output.text, output.call_id) == ("tool", "", "call_1")


@pytest.mark.parametrize(
    ("item", "fields", "param"),
    [
        (WIRE_CALL, {"id": ""}, "item.id"),
        (WIRE_CALL, {"id": "x" * (MAX_ID_CHARS + 1)}, "item.id"),
        (WIRE_CALL, {"call_id": ""}, "item.call_id"),
        (WIRE_CALL, {"call_id": "x" * (MAX_ID_CHARS + 1)}, "item.call_id"),
        (WIRE_CALL, {"name": "get weather"}, "item.name"),
        (WIRE_CALL, {"arguments": "Paris"}, "item.arguments"),
        (WIRE_CALL, {"arguments": '["Paris"]'}, "item.arguments"),
        (WIRE_CALL, {"arguments": '{"city": "\\ud800"}'}, "item.arguments"),
        (WIRE_CALL, {"arguments": '{"a":' * 200 + "1" + "}" * 200}, "item.arguments"),
        (WIRE_CALL, {"arguments": json.dumps({"city": "x" * MAX_TEXT_CHARS})}, "item.arguments"),
        (WIRE_OUTPUT, {"id": ""}, "item.id"),
        (WIRE_OUTPUT, {"output": "x" * (MAX_TEXT_CHARS + 1)}, "item.output"),
        (
            {"type": "mcp_approval_response", "id": "item_1", "approval_request_id": "a", "approve": True},
            {},
            "item.type",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_name(item: dict[str, Any], fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(item, **fields)
    assert caught.value.param == param


def test_no_arguments_are_an_empty_object_and_an_output_names_a_call_of_any_length() -> None:
    assert read({**WIRE_CALL, "arguments": ""}).text == "{}"
    assert read({**WIRE_OUTPUT, "call_id": "x" * 2_000}).call_id == "x" * 2_000
