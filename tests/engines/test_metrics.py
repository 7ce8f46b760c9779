import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from engines.metrics import Ratio, waited_s, waiting


def test_a_ratio_is_of_the_sums_and_not_of_the_last() -> None:
    ratio = Ratio()
    assert ratio.add(1.0, 10.0) == pytest.approx(0.1)
    assert ratio.add(0.022, 0.01) == pytest.approx(0.102, abs=0.001)


def test_what_comes_without_the_measure_counts_all_the_same() -> None:
    ratio = Ratio()
    assert ratio.add(0.5, 0.0) is None
    assert ratio.add(0.5, 2.0) == pytest.approx(0.5, abs=0.02)
    assert ratio.add(1.0, 0.0) == pytest.approx(1.0, abs=0.02)


def test_a_ratio_forgets_what_was_long_ago() -> None:
    ratio = Ratio()
    for _ in range(1_000):
        ratio.add(5.0, 1.0)
    found = [ratio.add(0.1, 1.0) for _ in range(300)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(5.0, abs=0.1)
    assert found[-1] == pytest.approx(0.1, abs=0.05)


def test_each_thread_has_waited_for_itself() -> None:
    def wait() -> float:
        before_s = waited_s()
        with waiting():
            time.sleep(0.05)
        with suppress(ValueError), waiting():
            time.sleep(0.05)
            raise ValueError
        return waited_s() - before_s

    here_s = waited_s()
    with ThreadPoolExecutor(2) as pool:
        for found_s in (pool.submit(wait), pool.submit(wait)):
            assert found_s.result() >= 0.1
    assert waited_s() == here_s
