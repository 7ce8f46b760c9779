"""The `sampling_parameters` of a request: a JSON object of the fields of vllm.SamplingParams."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from vllm.exceptions import VLLMClientError
from vllm.sampling_params import RequestOutputKind, SamplingParams

from engines.errors import InvalidInputError

_OWN = ("output_kind", "skip_clone", "detokenize", "output_text_buffer_length", "stream_interval")
"""Fields that say how vLLM and this backend work together, not how to sample."""
FIELDS = frozenset(name for name in SamplingParams.__struct_fields__ if not name.startswith("_") and name not in _OWN)


def parsed(text: str) -> dict[str, Any]:
    """Return the fields in `text`; InvalidInputError where it is no JSON object or has a field that there is not."""
    try:
        fields = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"sampling_parameters is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise InvalidInputError(f"sampling_parameters must be a JSON object, not {type(fields).__name__}")
    if unknown := sorted(fields.keys() - FIELDS):
        raise InvalidInputError(f"sampling_parameters has unknown fields: {', '.join(unknown)}")
    return fields


def sampling(fields: Mapping[str, Any], *, stream: bool) -> SamplingParams:
    """Return vLLM's parameters; InvalidInputError for a value of a wrong type or out of range.

    Numbers may be given as strings, as Triton's vLLM backend allows. None means the default.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        params = msgspec.convert(given, SamplingParams, strict=False)
    except (msgspec.ValidationError, VLLMClientError) as error:
        raise InvalidInputError(f"sampling_parameters: {error}") from error
    params.output_kind = RequestOutputKind.DELTA if stream else RequestOutputKind.FINAL_ONLY
    return params
