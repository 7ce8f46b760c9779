"""A client of the running application's HTTP surface, and its errors."""

from typing import Any

import httpx

from tests.servers.orchestrator import RunningOrchestrator


def http(running: RunningOrchestrator, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30, **options)


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"type", "code", "message", "param"}
    assert error["message"]
    return error
