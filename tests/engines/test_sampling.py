import pytest

from engines.errors import InvalidInputError
from engines.sampling import Sampling, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", Sampling()),
        ('{"max_tokens": 5, "temperature": 0, "top_p": 0.9, "seed": null}', Sampling(max_tokens=5)),
        ('{"max_tokens": "5", "temperature": "0.7"}', Sampling(max_tokens=5)),  # the vLLM backend takes these too
        ('{"stop": "x"}', Sampling(stop=("x",))),
        ('{"stop": ["x", "y"], "ignore_eos": true}', Sampling(stop=("x", "y"))),
    ],
)
def test_valid_parameters_are_taken(text: str, expected: Sampling) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid JSON"),
        ("{x", "not valid JSON"),
        ("[1]", "must be a JSON object"),
        ('{"max_tokens": 0}', "max_tokens must be at least 1, not 0"),
        ('{"max_tokens": 1.5}', "max_tokens must be at least 1, not 1.5"),
        ('{"max_tokens": true}', "max_tokens must be a number"),
        ('{"max_tokens": [1]}', "max_tokens must be a number"),
        ('{"temperature": -0.1}', "temperature must be at least 0"),
        ('{"temperature": NaN}', "temperature must be a number"),
        ('{"temperature": "warm"}', "temperature must be a number"),
        ('{"top_p": 0}', "top_p must be above 0"),
        ('{"top_p": 1.1}', "top_p must be above 0 and at most 1"),
        ('{"top_k": -2}', "top_k"),
        ('{"presence_penalty": 3}', "presence_penalty"),
        ('{"n": 2}', "n must be 1"),
        ('{"stop": 1}', "stop must be"),
        ('{"stop": [""]}', "stop must be"),
        ('{"ignore_eos": 1}', "ignore_eos must be true or false"),
        ('{"heat": 1}', "unknown parameter 'heat'"),
    ],
)
def test_what_is_wrong_with_parameters_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        parse(text)
