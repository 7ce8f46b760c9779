"""Requests are counted in as many series as there are methods and routes, whatever strangers send."""

import asyncio
import re

from orchestrator.telemetry.metrics import Metrics
from tests.servers.orchestrator import run_orchestrator


def test_methods_that_http_does_not_have_are_one() -> None:
    metrics = Metrics()
    for number in range(50):
        metrics.request(f"BREW{number}", "unmatched", 405)
    metrics.request("get", "unmatched", 405)
    for method in ("GET", "PATCH", "WEBSOCKET"):
        metrics.request(method, "/livez", 200)
    counted = re.findall(r"^goassist_http_requests_total\{(.*)\} (\S+)$", metrics.exposition().decode(), re.MULTILINE)
    assert dict(counted) == {
        'method="other",route="unmatched",status="405"': "51.0",
        'method="GET",route="/livez",status="200"': "1.0",
        'method="PATCH",route="/livez",status="200"': "1.0",
        'method="WEBSOCKET",route="/livez",status="200"': "1.0",
    }


async def test_the_server_counts_a_strangers_methods_as_one() -> None:
    async with run_orchestrator(triton_url="127.0.0.1:1") as running:
        port = int(running.url.rpartition(":")[2])
        for method in ("BREW", "TEAPOT", "X" * 60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{method} /livez HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
            assert await reader.read()
            writer.close()
        page = running.services.shared.metrics.exposition().decode()
    assert set(re.findall(r'http_requests_total\{method="(\w+)"', page)) <= {"other"}
