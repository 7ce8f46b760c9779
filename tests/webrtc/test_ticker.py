"""orchestrator/webrtc/ticker.py on real loops: pace, stalls, isolation, and nothing armed when idle."""

import asyncio
import itertools
import statistics
import time

from orchestrator.webrtc.ticker import CATCH_UP_PERIODS, PERIOD_S, SLOTS, Ticker
from tests.webrtc.conftest import Run

MOST_TRIALS = 5  # where the machine itself stands still, which is no fault of the ticker's


class Counter:
    """A callback that lets a test wait for its n-th call."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._changed = asyncio.Event()

    def __call__(self) -> None:
        self.times.append(time.monotonic())
        self._changed.set()

    async def reaches(self, count: int) -> None:
        while len(self.times) < count:
            self._changed.clear()
            await self._changed.wait()


def test_a_callback_comes_every_20_ms_and_errors_do_not_add_up(run: Run) -> None:
    async def scenario() -> None:
        for _ in range(MOST_TRIALS):
            ticker, counter = Ticker(), Counter()
            remove = ticker.add(counter)
            await counter.reaches(40)
            remove()
            if ticker.lateness().max_s < PERIOD_S:
                break
        ideal = [at - PERIOD_S * index for index, at in enumerate(counter.times)]
        # On a busy machine single calls come late; the earliest ones show the pace.
        assert abs(min(ideal[30:]) - min(ideal[:10])) < 0.004

    run(scenario())


def test_callbacks_are_spread_over_the_period(run: Run) -> None:
    async def scenario() -> None:
        ticker, counters = Ticker(), [Counter() for _ in range(2 * SLOTS)]
        for counter in counters:
            ticker.add(counter)
        assert [len(slot) for slot in ticker._slots] == [2] * SLOTS
        # A machine that is busy with others serves several slots together now and then, and not for ever.
        for period in itertools.count(3):
            await asyncio.gather(*(counter.reaches(period) for counter in counters))
            moments = sorted(counter.times[period - 1] for counter in counters)
            apart = [later - earlier > PERIOD_S / SLOTS / 4 for earlier, later in itertools.pairwise(moments)]
            if sum(apart) >= SLOTS // 2 and moments[-1] - moments[0] < PERIOD_S:
                return

    run(scenario())


def test_nothing_is_armed_when_there_is_nothing_to_call(run: Run) -> None:
    async def scenario() -> None:
        ticker, counter = Ticker(), Counter()
        assert ticker._timer is None
        remove = ticker.add(counter)
        await counter.reaches(2)
        remove()
        remove()
        await asyncio.sleep(2 * PERIOD_S)
        assert ticker._timer is None
        assert len(ticker) == 0
        calls = len(counter.times)
        await asyncio.sleep(3 * PERIOD_S)
        assert len(counter.times) == calls
        ticker.add(counter)
        await counter.reaches(calls + 2)

    run(scenario())


def test_one_call_wakes_the_loop_once_per_period(run: Run) -> None:
    async def scenario() -> None:
        ticker, counter = Ticker(), Counter()
        ticker.add(counter)
        await counter.reaches(10)
        assert len(ticker._late) == 10

    run(scenario())


def test_frames_owed_after_a_short_stall_are_caught_up_and_the_stall_is_reported(run: Run) -> None:
    async def scenario() -> None:
        for _ in range(MOST_TRIALS):
            ticker, counter = Ticker(), Counter()
            remove = ticker.add(counter)
            await counter.reaches(5)
            time.sleep(0.13)  # noqa: ASYNC251 - the stall is what is tested
            await counter.reaches(20)
            remove()
            if ticker.lateness().max_s < 0.13 + PERIOD_S:
                break
        gaps = [b - a for a, b in itertools.pairwise(counter.times)]
        assert statistics.median(gaps[5:10]) < PERIOD_S / 4, "the frames owed come one after another"
        due = (counter.times[-1] - counter.times[0]) / PERIOD_S
        assert len(gaps) > due - 2, "none of them is left out"
        assert ticker.lateness().max_s > 0.1
        assert ticker.lateness().p99_s > 0.1

    run(scenario())


def test_after_a_stall_all_calls_get_their_frame_before_the_loop_turns_and_none_gets_two(run: Run) -> None:
    async def scenario() -> None:
        loop, ticker, counters = asyncio.get_running_loop(), Ticker(), [Counter() for _ in range(2 * SLOTS)]
        turns = 0
        turn_of_calls: list[list[int]] = [[] for _ in counters]

        def turn() -> None:
            nonlocal turns
            turns += 1
            loop.call_soon(turn)

        for counter, seen in zip(counters, turn_of_calls, strict=True):

            def call(counter: Counter = counter, seen: list[int] = seen) -> None:
                seen.append(turns)
                counter()

            ticker.add(call)
        await asyncio.gather(*(counter.reaches(3) for counter in counters))
        turn()
        time.sleep(5 * PERIOD_S)  # noqa: ASYNC251 - the stall is what is tested
        already = [len(seen) for seen in turn_of_calls]
        await asyncio.gather(*(counter.reaches(before + 4) for counter, before in zip(counters, already, strict=True)))
        caught_up = [tuple(seen[n : n + 4]) for seen, n in zip(turn_of_calls, already, strict=True)]
        assert len(set(caught_up)) <= 2, "each turn of the loop serves all calls; it may begin in the midst of a period"
        assert all(len(set(each)) == len(each) for each in caught_up)

    run(scenario())


def test_of_a_long_stall_only_the_last_frames_are_caught_up(run: Run) -> None:
    async def scenario() -> None:
        ticker, counter = Ticker(), Counter()
        ticker.add(counter)
        await counter.reaches(2)
        time.sleep(0.8)  # noqa: ASYNC251 - the stall is what is tested
        resumed = time.monotonic()
        await counter.reaches(20)
        burst = [at for at in counter.times if resumed <= at < resumed + 0.01]
        assert len(burst) <= CATCH_UP_PERIODS + 2

    run(scenario())


def test_a_callback_that_raises_is_reported_and_costs_the_others_nothing(run: Run) -> None:
    async def scenario() -> None:
        reports: list[BaseException] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context["exception"]))
        ticker, counters = Ticker(), [Counter() for _ in range(2 * SLOTS)]

        def fail() -> None:
            raise RuntimeError("one call's fault")

        for counter in counters[:SLOTS]:
            ticker.add(counter)
        ticker.add(fail)
        for counter in counters[SLOTS:]:
            ticker.add(counter)
        await asyncio.gather(*(counter.reaches(5) for counter in counters))
        assert len(reports) >= 4
        assert {str(report) for report in reports} == {"one call's fault"}

    run(scenario())


def test_callbacks_may_remove_themselves_and_each_other(run: Run) -> None:
    async def scenario() -> None:
        ticker, calls, removals = Ticker(), [], []

        def leave() -> None:
            calls.append(leave)
            for remove in removals:
                remove()

        removals += [ticker.add(leave), ticker.add(lambda: leave())]
        time.sleep(4 * PERIOD_S)  # noqa: ASYNC251  the loop stands still, so that both are due at once
        await asyncio.sleep(4 * PERIOD_S)
        assert len(ticker) == 0
        assert calls == [leave]

    run(scenario())


def test_lateness_is_zero_without_calls() -> None:
    assert Ticker().lateness().max_s == 0.0
