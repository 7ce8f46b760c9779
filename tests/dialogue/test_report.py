import pytest

from benchmarks.dialogue.report import Row, rows, table
from benchmarks.dialogue.talk import Observed


def row(figure: str, *observed: Observed) -> Row:
    (found,) = [each for each in rows(observed) if each.figure.startswith(figure)]
    return found


def test_a_good_conversation_meets_every_target() -> None:
    good = Observed(
        "good",
        takeovers=[(0.3, False), (0.7, False), (1.1, True)],
        delays=[0.25, 0.34, 0.6],
        stops=[0.08],
        resumed=[("cough", True)],
        words=[(12, 11)],
    )
    assert all(each.met is not False for each in rows([good]))


@pytest.mark.parametrize(
    ("figure", "seen"),
    [
        ("takeovers in pauses up to 700", Observed("x", takeovers=[(0.5, True), (0.5, False)])),
        ("response delay", Observed("x", delays=[0.5])),
        ("interruptions that did not", Observed("x", unstopped=1)),
        ("false interruptions", Observed("x", resumed=[("cough", True), ("echo", False)])),
        ("words remembered", Observed("x", words=[(12, 10)])),
        ("missed turns", Observed("x", delays=[0.2], missed=1)),
    ],
)
def test_what_a_person_would_mind_breaks_its_target(figure: str, seen: Observed) -> None:
    assert row(figure, seen).met is False
    assert "not met" in table(rows([seen]))


def test_long_pauses_are_told_and_not_judged() -> None:
    taken = row("takeovers in longer", Observed("x", takeovers=[(1.0, True)]))
    assert taken.met is None
    assert taken.count == 1


def test_early_and_later_turns_of_longer_calls_are_told_apart() -> None:
    calls = [Observed("long", delays=[0.6, 0.7, 0.3, 0.2, 0.3]), Observed("short", delays=[0.1, 0.1, 0.1])]
    early, later = row("– in the first two turns", *calls), row("– in their later turns", *calls)
    assert early.value.startswith("p50 650 ms")
    assert later.value.startswith("p50 300 ms")
    assert (early.count, later.count) == (2, 3)


def test_nothing_seen_breaks_no_target() -> None:
    assert all(each.met is not False for each in rows([]))
