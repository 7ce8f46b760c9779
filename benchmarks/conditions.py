"""What may be wrong with a caller's network, clock or client. All of it is on the way to the server."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.rough_caller import CallError, Fate, Form, RoughCaller, Send

LOST, OVERTAKEN, LATE = 0.2, 0.2, 0.05  # shares of the packets
LATE_S = 0.15
STOPPED_S = 5.0


def lossy(caller: RoughCaller) -> Fate:
    """Every fifth packet is lost."""

    def fate(packet: bytes, send: Send) -> None:
        if caller.chance.random() >= LOST:
            send(packet)

    return fate


def reordering(caller: RoughCaller) -> Fate:
    """Every fifth packet is overtaken by the next."""
    held: list[bytes] = []

    def fate(packet: bytes, send: Send) -> None:
        if not held and caller.chance.random() < OVERTAKEN:
            held.append(packet)
            return
        send(packet)
        while held:
            send(held.pop())

    return fate


def doubling(caller: RoughCaller) -> Fate:
    """Every packet comes twice."""

    def fate(packet: bytes, send: Send) -> None:
        send(packet)
        send(packet)

    return fate


def delaying(caller: RoughCaller) -> Fate:
    """Every twentieth packet comes 150 ms late."""

    def fate(packet: bytes, send: Send) -> None:
        if caller.chance.random() < LATE:
            asyncio.get_running_loop().call_later(LATE_S, send, packet)
        else:
            send(packet)

    return fate


def swallowing(packet: bytes, send: Send) -> None:
    """Nothing is sent."""


async def stopped(caller: RoughCaller) -> None:
    """Nothing is sent for 5 s."""
    caller.fate = swallowing
    await asyncio.sleep(STOPPED_S)
    caller.recover()


async def renegotiated(caller: RoughCaller) -> None:
    """The client makes another offer, as where a track is added, and takes the answer."""
    await _offered(caller, 200)


async def restarting_ice(caller: RoughCaller) -> None:
    """It is refused, and what there is goes on."""
    await _offered(caller, 400, restart_ice=True)


async def _offered(caller: RoughCaller, expected: int, *, restart_ice: bool = False) -> None:
    status = await caller.offer_again(restart_ice=restart_ice)
    if status != expected:
        raise CallError(f"another offer was answered with {status}, not {expected}")


PLAIN = Form()


@dataclass(frozen=True, slots=True)
class Condition:
    """A name, and what is so while it lasts; `first` happens before each question in that time."""

    name: str
    form: Form = PLAIN
    fate: Callable[[RoughCaller], Fate] | None = None
    first: Callable[[RoughCaller], Awaitable[None]] | None = None

    def begin(self, caller: RoughCaller) -> None:
        """Let it be so."""
        caller.become(self.form)
        if self.fate is not None:
            caller.fate = self.fate(caller)

    def end(self, caller: RoughCaller) -> None:
        """All is well again."""
        caller.become(PLAIN)
        caller.recover()


NOTHING = "nothing"  # the condition that all others are compared with
# A crystal is off by up to 500 ppm: by 50 ms in 100 s. 2 % are what no clock does, 2 s in that time: as long as a call
# of an hour drifts.
CONDITIONS = {
    NOTHING: Condition("nothing wrong"),
    "loss": Condition("20 % of packets lost", fate=lossy),
    "reordered": Condition("every fifth packet overtaken", fate=reordering),
    "duplicates": Condition("every packet twice", fate=doubling),
    "late": Condition("every twentieth packet 150 ms late", fate=delaying),
    "stops": Condition("sender stops for 5 s before each question", first=stopped),
    "fast": Condition("clock 500 ppm fast", Form(pace=1 / 1.0005)),
    "slow": Condition("clock 500 ppm slow", Form(pace=1 / 0.9995)),
    "much-too-fast": Condition("clock 2 % fast", Form(pace=1 / 1.02)),
    "much-too-slow": Condition("clock 2 % slow", Form(pace=1 / 0.98)),
    "10ms": Condition("packets of 10 ms", Form(duration_ms=10)),
    "40ms": Condition("packets of 40 ms", Form(duration_ms=40)),
    "60ms": Condition("packets of 60 ms", Form(duration_ms=60)),
    "stereo": Condition("stereo", Form(channels=2)),
    "dtx": Condition("nothing sent in silence (DTX)", Form(discontinuous=True)),
    "renegotiates": Condition("renegotiates before each question", first=renegotiated),
    "ice-restart": Condition("asks for an ICE restart before each question", first=restarting_ice),
}
