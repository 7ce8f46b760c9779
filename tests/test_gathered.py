"""Answers of several workers as one."""

import json
from typing import Any

import httpx

from orchestrator import gathered


def health(active: int, late_ms: float, *, status: int = 200, asr: str = "up") -> httpx.Response:
    body = {
        "status": "healthy" if status == 200 else "degraded",
        "components": {
            "asr": {"status": asr},
            "media": {"status": "up", "frame_lateness_p99_ms": late_ms, "frame_lateness_max_ms": 2 * late_ms},
            "sessions": {"status": "up", "active": active, "limit": 9},
        },
    }
    return httpx.Response(status, json=body)


def gathered_health(*answers: httpx.Response | None) -> tuple[int, str, dict[str, Any]]:
    answer = gathered.health(answers)
    body = json.loads(bytes(answer.body))
    return answer.status_code, body["status"], body["components"]


def test_health_counts_the_calls_of_all_and_shows_the_worst_lateness() -> None:
    status, word, components = gathered_health(health(2, 1.5), health(3, 0.5))
    assert (status, word) == (200, "healthy")
    assert components["sessions"] == {"status": "up", "active": 5, "limit": 9}
    assert components["media"] == {"status": "up", "frame_lateness_p99_ms": 1.5, "frame_lateness_max_ms": 3.0}
    assert components["workers"] == {"status": "up", "count": 2, "missing": []}


def test_one_unhealthy_worker_makes_all_so_and_its_components_are_shown() -> None:
    status, word, components = gathered_health(health(2, 1.5), health(3, 0.5, status=503, asr="down"))
    assert (status, word) == (503, "degraded")
    assert components["asr"] == {"status": "down"}
    assert components["sessions"]["active"] == 5


def test_a_missing_worker_is_a_component_that_is_down() -> None:
    status, word, components = gathered_health(health(2, 1.5), None)
    assert (status, word) == (503, "degraded")
    assert components["workers"] == {"status": "down", "count": 2, "missing": [1]}
    assert gathered_health(None, None)[0] == 503


def test_sessions_are_listed_though_no_worker_answered() -> None:
    assert json.loads(bytes(gathered.sessions([None, None]).body)) == {
        "active_count": 0,
        "available_slots": 0,
        "sessions": [],
    }
