"""What concerns all workers, as one answer out of every worker's; None stands for one that did not answer."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
from starlette.responses import Response

from orchestrator.telemetry.exposition import summed
from orchestrator.telemetry.metrics import CONTENT_TYPE

Answers = Sequence[httpx.Response | None]


def metrics(pages: Sequence[str]) -> Response:
    """Metrics pages as one."""
    return Response(summed(pages), media_type=CONTENT_TYPE)


def readiness(answers: Answers) -> Response:
    """Ready where all are."""
    for number, each in enumerate(answers):
        if each is None:
            return _json(503, {"status": "not_ready", "reason": f"worker {number} is starting", "components": {}})
        if each.status_code != 200:
            return _json(each.status_code, each.json())
    return _json(200, {**_bodies(answers)[0], "workers": len(answers)})


def sessions(answers: Answers) -> Response:
    """The sessions of all."""
    for each in answers:
        if each is not None and each.status_code != 200:
            return _json(each.status_code, each.json())
    bodies = _bodies(answers)
    total: dict[str, Any] = {
        "active_count": sum(body["active_count"] for body in bodies),
        # Of all workers, as each sees it.
        "available_slots": min((body["available_slots"] for body in bodies), default=0),
    }
    return _json(200, total | {"sessions": [session for body in bodies for session in body["sessions"]]})


def health(answers: Answers) -> Response:
    """The components of a worker, of an unhealthy one where there is one; calls of all, and the worst lateness."""
    bodies = sorted(_bodies(answers), key=lambda body: str(body["status"]) == "healthy")
    healthy = len(bodies) == len(answers) and all(body["status"] == "healthy" for body in bodies)
    components: dict[str, Any] = dict(bodies[0]["components"]) if bodies else {}
    if bodies:
        every = [body["components"] for body in bodies]
        late = {
            name: max(each["media"][name] for each in every)
            for name in ("frame_lateness_p99_ms", "frame_lateness_max_ms")
        }
        components["media"] = {**components["media"], **late}
        active = sum(each["sessions"]["active"] for each in every)
        components["sessions"] = {**components["sessions"], "active": active}
    missing = [number for number, each in enumerate(answers) if each is None]
    components["workers"] = {"status": "down" if missing else "up", "count": len(answers), "missing": missing}
    return _json(200 if healthy else 503, {"status": "healthy" if healthy else "degraded", "components": components})


def _bodies(answers: Answers) -> list[dict[str, Any]]:
    return [each.json() for each in answers if each is not None]


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), status, media_type="application/json")
