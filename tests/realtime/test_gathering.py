import asyncio

from orchestrator.realtime.gathering import PERIOD_S, GatheredText


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now_s = 10.0

    def __call__(self) -> float:
        return self.now_s


async def test_the_first_word_is_sent_at_once_and_the_next_ones_together() -> None:
    sent: asyncio.Queue[str] = asyncio.Queue()
    text = GatheredText(sent.put_nowait)
    text.push("It")
    assert sent.get_nowait() == "It"
    text.push(" is")
    text.push(" noon")
    assert sent.empty()
    assert await asyncio.wait_for(sent.get(), 5) == " is noon"
    assert sent.empty()


def test_words_that_come_slowly_are_each_sent_at_once() -> None:
    sent: list[str] = []
    clock = Clock()
    text = GatheredText(sent.append, clock=clock)
    for word in ("It", " is", " noon"):
        text.push(word)
        clock.now_s += PERIOD_S
    assert sent == ["It", " is", " noon"]


async def test_flushing_sends_what_waits_and_nothing_twice() -> None:
    sent: list[str] = []
    text = GatheredText(sent.append)
    text.push("It")
    text.push(" is")
    text.flush()
    text.flush()
    assert sent == ["It", " is"]
    await asyncio.sleep(1.5 * PERIOD_S)
    assert sent == ["It", " is"]
