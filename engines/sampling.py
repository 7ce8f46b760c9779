"""The `sampling_parameters` of the llm model: JSON with the names, types and ranges of vLLM's SamplingParams."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engines.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Sampling:
    """What the offline conversationalist honours; the other parameters are checked and have no effect on it."""

    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


Check = Callable[[float], bool]
_INTEGERS: Mapping[str, tuple[Check, str]] = {
    "max_tokens": (lambda n: n >= 1, "at least 1"),
    "min_tokens": (lambda n: n >= 0, "at least 0"),
    "top_k": (lambda n: n >= -1, "at least -1"),
    "seed": (lambda _: True, "a whole number"),
    "n": (lambda n: n == 1, "1"),
}
_NUMBERS: Mapping[str, tuple[Check, str]] = {
    "temperature": (lambda x: x >= 0, "at least 0"),
    "top_p": (lambda x: 0 < x <= 1, "above 0 and at most 1"),
    "min_p": (lambda x: 0 <= x <= 1, "from 0 to 1"),
    "presence_penalty": (lambda x: -2 <= x <= 2, "from -2 to 2"),
    "frequency_penalty": (lambda x: -2 <= x <= 2, "from -2 to 2"),
    "repetition_penalty": (lambda x: 0 < x <= 2, "above 0 and at most 2"),
}
_FLAGS = ("ignore_eos", "skip_special_tokens", "include_stop_str_in_output")
NAMES = (*_INTEGERS, *_NUMBERS, *_FLAGS, "stop")


def parse(text: str) -> Sampling:
    """Return the parameters of a JSON object; InvalidInputError says what is wrong with which of them."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"sampling_parameters is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise InvalidInputError("sampling_parameters must be a JSON object")
    return check({name: value for name, value in values.items() if value is not None})


def check(values: Mapping[str, Any]) -> Sampling:
    """Return the parameters of a mapping; InvalidInputError as for `parse`."""
    for name, value in values.items():
        if name in _INTEGERS:
            accepts, expected = _INTEGERS[name]
            number = _number(name, value)
            _require(number.is_integer() and accepts(number), name, expected, value)
        elif name in _NUMBERS:
            accepts, expected = _NUMBERS[name]
            _require(accepts(_number(name, value)), name, expected, value)
        elif name in _FLAGS:
            _require(isinstance(value, bool), name, "true or false", value)
        elif name != "stop":
            raise InvalidInputError(f"sampling_parameters: unknown parameter {name!r}; known: {', '.join(NAMES)}")
    max_tokens = values.get("max_tokens")
    return Sampling(None if max_tokens is None else int(_number("max_tokens", max_tokens)), _stops(values.get("stop")))


def _number(name: str, value: Any) -> float:
    """A JSON number, or one in a string, which Triton's vLLM backend takes too."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise InvalidInputError(f"sampling_parameters: {name} must be a number, not {value!r}")


def _stops(value: Any) -> tuple[str, ...]:
    stops = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
    valid = value is None or (isinstance(value, str | list) and all(isinstance(stop, str) and stop for stop in stops))
    _require(valid, "stop", "a string or a list of strings, none of them empty", value)
    return stops


def _require(condition: bool, name: str, expected: str, value: Any) -> None:
    if not condition:
        raise InvalidInputError(f"sampling_parameters: {name} must be {expected}, not {value!r}")
