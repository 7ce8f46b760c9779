"""Both event loops: the service runs on uvloop, tests of other parts and small tools on asyncio's own; and haste."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from orchestrator.webrtc import peer

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end, within 30 s, on either loop."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(coroutine: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(coroutine, 30))

    return run


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs of a call that is connected, a tenth as long."""
    for name in ("OPEN_EVENTS_AFTER_S", "HEARTBEAT_S", "PROBE_AFTER_S", "LOST_AFTER_S"):
        monkeypatch.setattr(peer, name, getattr(peer, name) / 10)
