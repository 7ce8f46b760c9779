"""orchestrator/webrtc/reorder.py: any network, any order, and never a packet twice, out of order or held for long."""

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.webrtc.reorder import WAITING, ReorderWindow


def push_all(window: ReorderWindow[int], sequences: list[int]) -> list[tuple[int, int]]:
    return [due for sequence in sequences for due in window.push(sequence & 0xFFFF, sequence)]


def test_packets_in_order_pass_at_once() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    for sequence in range(65530, 65550):
        assert window.push(sequence & 0xFFFF, sequence) == [(0, sequence)]
    assert (window.lost, window.late, window.duplicate, window.reordered) == (0, 0, 0, 0)


def test_two_swapped_packets_come_out_in_order_without_a_loss() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push_all(window, [1, 3, 2, 4]) == [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert (window.lost, window.reordered) == (0, 1)


def test_a_packet_two_places_late_is_still_waited_for() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push_all(window, [1, 3, 4, 2, 5]) == [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]
    assert window.lost == 0


def test_a_missing_packet_holds_two_and_is_lost_with_the_third() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push_all(window, [1, 3, 4]) == [(0, 1)]
    assert window.waiting
    assert window.push(5, 5) == [(1, 3), (0, 4), (0, 5)]
    assert window.lost == 1
    assert not window.waiting


def test_giving_up_releases_what_waits_and_the_missing_packet_is_late_then() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    push_all(window, [1, 3])
    assert window.flush() == [(1, 3)]
    assert window.push(2, 2) == []
    assert (window.late, window.duplicate) == (1, 0)
    assert window.push(2, 2) == []
    assert (window.late, window.duplicate) == (1, 1)


def test_duplicates_are_dropped_before_and_after_their_turn() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push_all(window, [1, 1, 3, 3, 2, 2, 3]) == [(0, 1), (0, 2), (0, 3)]
    assert window.duplicate == 4


def test_a_sender_that_began_anew_is_followed_from_its_second_packet_on() -> None:
    for start in (30000, 60000):  # a jump ahead, and one back
        window: ReorderWindow[int] = ReorderWindow()
        push_all(window, list(range(40000, 40100)))
        assert push_all(window, [start, start + 1, start + 2]) == [(0, start + 1), (0, start + 2)]


def test_one_stray_packet_from_far_away_changes_nothing() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    push_all(window, list(range(100)))
    assert push_all(window, [20000, 100, 50000, 101]) == [(0, 100), (0, 101)]


def test_a_silence_of_many_packets_is_one_hole() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    assert push_all(window, [0, 251, 252, 253]) == [(0, 0), (250, 251), (0, 252), (0, 253)]
    assert window.lost == 250


@settings(max_examples=300, deadline=None)
@given(
    start=st.integers(min_value=0, max_value=0xFFFF),
    length=st.integers(min_value=1, max_value=200),
    seed=st.integers(min_value=0, max_value=2**32),
    loss=st.sampled_from([0.0, 0.01, 0.2, 0.6]),
    copies=st.sampled_from([0.0, 0.3]),
    jitter=st.integers(min_value=0, max_value=12),
    giving_up=st.sampled_from([0.0, 0.2]),
)
def test_whatever_the_network_does_packets_come_once_in_order_and_every_hole_is_counted(
    start: int, length: int, seed: int, loss: float, copies: float, jitter: int, giving_up: float
) -> None:
    chance = random.Random(seed)
    sent = [start + index for index in range(length) if index == 0 or chance.random() >= loss]
    arriving = [(sequence + chance.uniform(0, jitter), sequence) for sequence in sent[1:]]
    arriving += [(at + chance.uniform(0, jitter), s) for at, s in arriving if chance.random() < copies]
    arriving.sort()
    window: ReorderWindow[int] = ReorderWindow()
    out: list[tuple[int, int]] = []
    for sequence in [start, *(sequence for _, sequence in arriving)]:
        due = window.push(sequence & 0xFFFF, sequence)
        out += due
        assert len(window._waiting) <= WAITING
        if chance.random() < giving_up:
            out += window.flush()
    out += window.flush()
    numbers = [sequence for _, sequence in out]
    assert numbers == sorted(set(numbers)), "in order, none twice"
    assert set(numbers) <= set(sent)
    for (_, before), (missing, after) in itertools.pairwise(out):
        assert missing == after - before - 1, "each packet knows the hole before it"
    assert window.lost == numbers[-1] - start + 1 - len(numbers)
    arrived = 1 + len(arriving)
    assert arrived == len(numbers) + window.late + window.duplicate, "every packet is accounted for"
    if jitter <= 1 and not giving_up:
        assert set(numbers) == set(sent), "packets that are not displaced are never dropped"
