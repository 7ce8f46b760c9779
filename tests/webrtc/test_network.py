"""Calls over bad networks: stock aiortc sends through a network that loses, swaps, doubles and delays its packets.

All calls run at once, each over a network of its own, for a few seconds; the tests look at what was heard.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from orchestrator.webrtc.audio import AudioCounters
from tests.webrtc.caller import PITCH_HZ, Callee, Caller, Network, connect, eventually, hang_up, is_rtp
from tests.webrtc.sound import level, pitch, samples

PACKETS = 200  # 4 s, longer on a machine that is busy


def lossy(fraction: float) -> Callable[[Network, bytes, Any], None]:
    """Loses this part of the sound."""

    def fate(network: Network, data: bytes, address: Any) -> None:
        if not (is_rtp(data) and network.chance.random() < fraction):
            network.forward(data, address)

    return fate


def lossy_for_all(network: Network, data: bytes, address: Any) -> None:
    """Loses every twentieth datagram of any kind: sound, reports, ICE, data channel."""
    if network.chance.random() >= 0.05:
        network.forward(data, address)


def swapping(network: Network, data: bytes, address: Any) -> None:
    """Every fifth packet is overtaken by the next one."""
    if is_rtp(data) and not network.held and network.chance.random() < 0.2:
        network.held.append((data, address))
        return
    network.forward(data, address)
    if is_rtp(data):
        while network.held:
            network.forward(*network.held.pop())


def doubling(network: Network, data: bytes, address: Any) -> None:
    """Every packet comes twice."""
    for _ in range(2 if is_rtp(data) else 1):
        network.forward(data, address)


def delaying(network: Network, data: bytes, address: Any) -> None:
    """Every twentieth packet comes 150 ms after the others."""
    if is_rtp(data) and network.chance.random() < 0.05:
        asyncio.get_running_loop().call_later(0.15, network.forward, data, address)
    else:
        network.forward(data, address)


def stalling(network: Network, data: bytes, address: Any) -> None:
    """Of 20 packets none comes before the last."""
    if not is_rtp(data):
        network.forward(data, address)
        return
    network.held.append((data, address))
    if not 50 < network.sent <= 70:
        for held in network.held:
            network.forward(*held)
        network.held.clear()


FATES: dict[str, Callable[[Network, bytes, Any], None]] = {
    "loss 1 %": lossy(0.01),
    "loss 5 %": lossy(0.05),
    "loss 20 %": lossy(0.2),
    "loss of all kinds": lossy_for_all,
    "reordered": swapping,
    "duplicates": doubling,
    "late": delaying,
    "stall": stalling,
}


@dataclass(frozen=True)
class Outcome:
    sent_s: float  # by the caller, since its network went bad
    heard_s: float
    silent_s: float
    lost: int
    concealed: int
    sound: np.ndarray
    after: AudioCounters
    messages: list[str]


async def call_over(fate: Callable[[Network, bytes, Any], None]) -> Outcome:
    caller, callee = Caller(), Callee()
    await connect(caller, callee)
    await callee.until(lambda: callee.heard_s > 0.2)
    network = caller.put_behind(fate)
    heard, before = callee.heard_s, callee.peer.counters
    assert caller.channel
    caller.channel.send("over the same network")
    await eventually(lambda: network.sent >= PACKETS, within_s=40)
    sent = network.sent
    await asyncio.sleep(0.05)
    after = callee.peer.counters
    assert before
    assert after
    outcome = Outcome(
        0.02 * sent,
        callee.heard_s - heard,
        after.silence_s - before.silence_s,
        after.lost - before.lost,
        after.concealed - before.concealed,
        samples(callee.heard)[int(16000 * heard) :],
        after,
        callee.messages,
    )
    await hang_up(caller, callee)
    return outcome


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    async def all_at_once() -> list[Outcome]:
        return await asyncio.gather(*map(call_over, FATES.values()))

    return dict(zip(FATES, asyncio.run(all_at_once()), strict=True))


@pytest.mark.parametrize("network", FATES)
def test_sound_goes_on_and_delay_does_not_grow(outcomes: dict[str, Outcome], network: str) -> None:
    outcome = outcomes[network]
    # Some frames may be on their way, and two wait for one that is missing; silence stands in while nothing comes.
    assert outcome.sent_s - 0.1 <= outcome.heard_s <= outcome.sent_s + outcome.silent_s + 0.2
    assert pitch(outcome.sound[outcome.sound != 0], 16000) == pytest.approx(PITCH_HZ, abs=5)
    assert outcome.messages == ["over the same network"]


@pytest.mark.parametrize(("network", "fraction"), [("loss 5 %", 0.05), ("loss 20 %", 0.2)])
def test_losses_are_counted_and_concealed(outcomes: dict[str, Outcome], network: str, fraction: float) -> None:
    outcome = outcomes[network]
    assert outcome.lost == pytest.approx(fraction * outcome.sent_s * 50, rel=0.6)
    assert outcome.concealed + 50 * outcome.silent_s >= 0.9 * outcome.lost
    assert level(outcome.sound[outcome.sound != 0]) > 0.8 * level(outcomes["duplicates"].sound)


def test_swapped_packets_cost_nothing(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["reordered"]
    assert outcome.after.reordered > 10
    assert outcome.after.lost == outcome.after.concealed == outcome.after.late == 0


def test_duplicates_cost_nothing(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["duplicates"]
    assert outcome.after.duplicate > 0.9 * 50 * outcome.sent_s
    assert outcome.after.lost == outcome.after.concealed == 0


def test_packets_that_come_too_late_are_dropped(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["late"]
    assert outcome.after.late > 2
    assert outcome.after.late <= outcome.after.lost


def test_after_a_stall_all_is_heard(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["stall"]
    assert outcome.after.lost == 0
    assert outcome.silent_s > 0.2
