"""Requests of one model to another over gRPC, as speech_to_speech makes them, against a real Triton."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from engines.calls import Part, new_sequence_id, text
from engines.errors import EngineUnavailableError, InvalidInputError
from engines.loopback import Inference, Loopback
from tests.servers.triton import RunningTriton
from tests.triton.metrics import settled_metric, until_metric

CANCELLED = "goassist_streams_cancelled_total"
# This server is told to stop on the stream; the stream of those from SAFE_CANCEL_VERSION on is closed, which a single
# one survives here as well.
either_way = pytest.mark.parametrize("loopback", [(2, 57), (2, 0)], ids=["told", "closed"], indirect=True)


@pytest.fixture
def loopback(triton: RunningTriton, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Loopback:
    monkeypatch.setattr("engines.loopback.SAFE_CANCEL_VERSION", request.param)
    return Loopback(triton.grpc_url)


def asked(loopback: Loopback, words: str = "hello", fault: str = "none", count: int = 3) -> Inference:
    inputs = {
        "text": text(words),
        "fault": text(fault),
        "count": np.array([count], np.int32),
        "interval_s": np.array([0.02], np.float32),
    }
    return loopback("streams", inputs, ("text", "number"), cancel_inputs={"text": text("-")})


def numbers(responses: Iterator[dict[str, np.ndarray]]) -> list[int]:
    return [int(outputs["number"][0]) for outputs in responses]


@either_way
def test_responses_come_in_order_with_the_outputs_that_were_asked_for(loopback: Loopback) -> None:
    responses = list(asked(loopback))
    assert numbers(iter(responses)) == [0, 1, 2]
    assert {name for outputs in responses for name in outputs} == {"text", "number"}


def test_a_proxy_for_the_outside_world_is_not_asked(triton: RunningTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert numbers(iter(asked(Loopback(triton.grpc_url)))) == [0, 1, 2]


@either_way
async def test_a_cancelled_request_stops_in_its_model_and_yields_nothing_more(
    loopback: Loopback, triton: RunningTriton
) -> None:
    before = await settled_metric(triton.metrics_url, CANCELLED)
    inference = asked(loopback, count=1_000)
    responses = iter(inference)
    assert numbers([next(responses), next(responses)]) == [0, 1]
    canceller = threading.Thread(target=inference.cancel)
    canceller.start()
    canceller.join()
    assert list(responses) == []
    assert await until_metric(triton.metrics_url, CANCELLED, before + 1) == before + 1
    assert numbers(iter(asked(loopback))) == [0, 1, 2]


@either_way
@pytest.mark.parametrize("last", [False, True], ids=["to be continued", "the last"])
async def test_a_piece_of_a_sequence_stops_in_its_model(loopback: Loopback, triton: RunningTriton, last: bool) -> None:
    cancelled = "goassist_sequences_cancelled_total"
    before = await settled_metric(triton.metrics_url, cancelled)
    part = Part(new_sequence_id(), first=True, last=last)
    silence = {"audio": np.zeros((1, 160), np.int16)}
    inference = loopback("sequences", silence, ("samples",), cancel_inputs=silence, part=part)
    began = time.monotonic()
    threading.Timer(0.3, inference.cancel).start()
    assert list(inference) == []
    assert time.monotonic() - began < 3  # of the five seconds that it takes
    assert await until_metric(triton.metrics_url, cancelled, before + 1) == before + 1


@either_way
async def test_a_request_that_is_left_unread_stops_in_its_model(loopback: Loopback, triton: RunningTriton) -> None:
    before = await settled_metric(triton.metrics_url, CANCELLED)
    responses = iter(asked(loopback, count=1_000))
    next(responses)
    responses.close()  # type: ignore[attr-defined]
    assert await until_metric(triton.metrics_url, CANCELLED, before + 1) == before + 1


@either_way
def test_a_request_that_is_cancelled_before_it_is_read_yields_nothing(loopback: Loopback) -> None:
    inference = asked(loopback, count=1_000)
    inference.cancel()
    assert list(inference) == []


@either_way
def test_what_a_model_answers_is_told_from_what_it_suffers(loopback: Loopback) -> None:
    with pytest.raises(InvalidInputError, match="streams: text is empty"):
        list(asked(loopback, words=""))
    with pytest.raises(EngineUnavailableError, match="the engine broke"):
        list(asked(loopback, fault="after one"))


def test_a_server_that_does_not_answer_is_told() -> None:
    with pytest.raises(EngineUnavailableError, match="gRPC service cannot be asked"):
        asked(Loopback("127.0.0.1:9"))
