"""What orchestration and monitoring ask: alive, ready, healthy, metrics."""

from typing import Any

from fastapi import APIRouter, Response

from orchestrator.realtime.services import Wired
from orchestrator.telemetry.metrics import CONTENT_TYPE

router = APIRouter(tags=["operations"])


@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"description": "calls cannot be taken; `reason` says why"}})
async def readyz(response: Response, wired: Wired) -> dict[str, Any]:
    """Calls can be taken: Triton and every model are ready, and the process is not about to stop."""
    readiness = await wired.readiness.current()
    reason = "shutting down" if wired.registry.draining else readiness.missing
    if reason:
        response.status_code = 503
        return {"status": "not_ready", "reason": reason, "components": readiness.backends}
    return {"status": "ready", "components": readiness.backends}


@router.get("/health", responses={503: {"description": "a component is down"}})
@router.get("/healthz", include_in_schema=False)
async def health(response: Response, wired: Wired) -> dict[str, Any]:
    """Every component, one by one, with the `reason` of one that is down where it is known."""
    readiness = await wired.readiness.current()
    settings, registry = wired.settings, wired.registry
    lateness = wired.shared.plane.ticker.lateness()
    components: dict[str, Any] = {
        **{name: {"status": "up" if ready else "down"} for name, ready in readiness.backends.items()},
        "vad": {"status": "up"},  # loaded with the process, or the process had not started
        "media": {
            "status": "up",
            "frame_lateness_p99_ms": round(lateness.p99_s * 1000, 1),
            "frame_lateness_max_ms": round(lateness.max_s * 1000, 1),
        },
        "sessions": {
            "status": "draining" if registry.draining else "up",
            "active": len(registry),
            "limit": registry.max_sessions,
        },
    }
    for name, reason in readiness.reasons.items():
        components[name]["reason"] = reason
    components["triton"] |= {"url": settings.triton_url, "metrics_url": settings.triton_metrics_url}
    healthy = readiness.ready and not registry.draining
    response.status_code = 200 if healthy else 503
    return {"status": "healthy" if healthy else "degraded", "components": components}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(wired: Wired) -> Response:
    """Prometheus' text format."""
    return Response(wired.shared.metrics.exposition(), media_type=CONTENT_TYPE)
