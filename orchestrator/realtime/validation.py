"""JSON of a client → a model of the Realtime API, or an error that names the field and says what is wrong with it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.errors import InvalidRequestError

Model = TypeVar("Model", bound=BaseModel)

# Deeper than any field of the API; what reads it, and shows it in errors, is recursive.
MAX_DEPTH = 100
_CHECKED = (str, dict, list)
# Fields that tell the members of a union apart, in the order in which they do.
_TAGS = ("type", "role")


def build_models() -> None:
    """Build the validators of all events now, in 40 ms; they would be built at their first use, in a call."""
    for union in (RealtimeClientEvent, RealtimeServerEvent):
        for event in get_args(get_args(union)[0]):
            event.model_rebuild()


def parse_json(text: str | bytes, what: str, *steps: str) -> dict[str, Any]:
    """The JSON object in `text`, checked; InvalidRequestError names `what` was expected to be one, at `steps`."""
    value = parse_object(text, what)
    check(value, *steps)
    return value


def parse_object(text: str | bytes, what: str) -> dict[str, Any]:
    """The JSON object in `text` as it is: see `check`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{what} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequestError(f"{what} must be a JSON object, not {_kind(value)}")
    return value


def check(value: Any, *steps: int | str) -> None:
    """InvalidRequestError where `value`, found at `steps` of a message, cannot be sent on or is nested too deeply.

    JSON can escape half of a surrogate pair, as in "\\ud800": UTF-8 has no bytes for that.
    """
    if len(steps) > MAX_DEPTH:
        raise _unfit(steps, f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _unfit(steps, f"has {value[error.start]!a}, half of a surrogate pair: not UTF-8 text") from error
        return
    for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(step, str):
            check(step, *steps)
        if isinstance(inner, _CHECKED):
            check(inner, *steps, step)


def _unfit(steps: Sequence[int | str], what: str) -> InvalidRequestError:
    param = _path(steps) or None
    return InvalidRequestError(f"{param!r} {what}" if param else f"a field's name {what}", param=param)


def validated(model: type[Model], data: Mapping[str, Any], *, inside: str = "") -> Model:
    """`data` as `model`. `inside`: where `data` is within the client's message, for the error's `param`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _explained(error, data, inside) from error


def _explained(error: ValidationError, data: Mapping[str, Any], inside: str) -> InvalidRequestError:
    details = _relevant(error.errors(include_url=False), data)
    first = details[0]
    param = _param(first, data, inside)
    if first["type"] == "missing":
        return InvalidRequestError(f"the field {param!r} is missing", param=param)
    # Where several members of a union are possible, each says what it would have taken.
    wanted = dict.fromkeys(_sentence(each) for each in details if _param(each, data, inside) == param)
    return InvalidRequestError(f"{param!r} is {_shown(first['input'])}: {', or '.join(wanted)}", param=param)


def _relevant(details: Sequence[ErrorDetails], data: Any) -> Sequence[ErrorDetails]:
    """Without those of union members that the client cannot have meant, having given another `type` or `role`."""
    for tag in _TAGS:
        wrong = [each for each in details if each["loc"][-1:] == (tag,) and _is_member(each["loc"][:-1], data)]
        members = {each["loc"][:-1] for each in wrong}
        kept = [each for each in details if not any(each["loc"][: len(member)] == member for member in members)]
        if not kept:
            return wrong
        details = kept
    return details


def _is_member(location: Sequence[int | str], data: Any) -> bool:
    """Whether the location ends with a union member's name, and not with a key or index of the data."""
    return bool(location) and len(_walk(location, data)) == len(_walk(location[:-1], data))


def _walk(location: Sequence[int | str], value: Any) -> list[int | str]:
    """The keys and indices of the data among the steps of a location."""
    steps: list[int | str] = []
    for step in location:
        known = step in value if isinstance(value, Mapping) else isinstance(value, list) and step in range(len(value))
        if known:
            value = value[step]
            steps.append(step)
    return steps


def _param(detail: ErrorDetails, data: Any, inside: str) -> str:
    """The field's path in the client's own message, such as `session.audio.output.speed` or `item.content[0].text`."""
    steps = _walk(detail["loc"], data)
    if detail["type"] == "missing":
        steps.append(detail["loc"][-1])
    return _path(steps, inside)


def _path(steps: Sequence[int | str], inside: str = "") -> str:
    path = inside
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _sentence(detail: ErrorDetails) -> str:
    message = detail["msg"]
    return message[0].lower() + message[1:]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(value: Any) -> str:
    kinds = {type(None): "null", bool: "a boolean", list: "an array", str: "a string"}
    return kinds.get(type(value), "a number")
