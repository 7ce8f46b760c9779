"""Triton's /metrics page, as tests read it."""

import asyncio
import time
import urllib.request

from engines.metrics import PERIOD_S


def metric(url: str, name: str) -> float:
    """The sum of all samples of a metric, 0 where there is none."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    samples = [line for line in lines if line.split("{")[0].split(" ")[0] == name]
    return sum(float(line.rpartition(" ")[2]) for line in samples)


async def until_metric(url: str, name: str, at_least: float, *, timeout_s: float = 30.0) -> float:
    """Wait until a metric has reached a value, and return it as it is then, or at the end of the time."""
    deadline = time.monotonic() + timeout_s
    while (value := await asyncio.to_thread(metric, url, name)) < at_least and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return value


async def settled_metric(url: str, name: str, *, timeout_s: float = 30.0) -> float:
    """A metric's value once models have handed on what they did before: unchanged for several of their periods.

    Reads are counted, not seconds, of which any number may pass between two of them.
    """
    deadline = time.monotonic() + timeout_s
    value, unchanged = await asyncio.to_thread(metric, url, name), 0
    while unchanged < 10 and time.monotonic() < deadline:
        await asyncio.sleep(PERIOD_S / 2)
        newer = await asyncio.to_thread(metric, url, name)
        value, unchanged = newer, unchanged + 1 if newer == value else 0
    return value
