import pytest

from benchmarks.model_cost_engines import in_triton
from orchestrator.triton.client import TritonClient
from tests.servers.triton import RunningTriton
from tests.triton.metrics import settled_metric

CLOCK = "goassist_llm_first_chunk_seconds"


async def test_a_model_in_triton_tells_what_each_request_took(triton: RunningTriton) -> None:
    client = TritonClient(triton.grpc_url)
    compared = in_triton(client, triton.metrics_url, own_clock=CLOCK)
    before_s = await settled_metric(triton.metrics_url, f"{CLOCK}_sum")
    took = [await compared.ask(number) for number in range(3)]
    await client.close()
    after_s = await settled_metric(triton.metrics_url, f"{CLOCK}_sum")
    assert sum(each.engine_s for each in took) == pytest.approx(after_s - before_s)
    for each in took:
        assert each.own_s == each.engine_s
        assert 0 < each.engine_s < each.client_s < 5


async def test_an_engine_without_a_clock_is_no_figure(triton: RunningTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.model_cost_engines.COUNTED_WITHIN_S", 1.0)
    client = TritonClient(triton.grpc_url)
    with pytest.raises(TimeoutError, match="nothing:seconds"):
        await in_triton(client, triton.metrics_url, own_clock="nothing:seconds").ask(0)
    await client.close()
