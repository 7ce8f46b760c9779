import pytest

from benchmarks.dialogue.report import Row, rows, side_by_side, table
from benchmarks.dialogue.talk import Observed, Pause


def row(figure: str, *observed: Observed) -> Row:
    (found,) = [each for each in rows(observed) if each.figure.startswith(figure)]
    return found


def test_a_good_conversation_meets_every_target() -> None:
    good = Observed(
        "good",
        pauses=[Pause(0.3, taken=False), Pause(0.7, taken=False), Pause(1.1, taken=True)],
        delays=[0.25, 0.34, 0.6],
        stops=[0.08],
        resumed=[("cough", True)],
        silences=[0.4],
        words=[(12, 11)],
    )
    assert all(each.met is not False for each in rows([good]))


@pytest.mark.parametrize(
    ("figure", "seen"),
    [
        ("takeovers in pauses up to 700", Observed("x", pauses=[Pause(0.5, taken=True), Pause(0.5, taken=False)])),
        ("response delay", Observed("x", delays=[0.5])),
        ("stop latency", Observed("x", stops=[0.13])),
        ("stop latency", Observed("x", stops=[*[0.08] * 9, 0.4])),
        ("silence because of one", Observed("x", silences=[0.5, 0.7, 0.7])),
        ("interruptions that did not", Observed("x", unstopped=1)),
        ("false interruptions", Observed("x", resumed=[("cough", True), ("echo", False)])),
        ("words remembered", Observed("x", words=[(12, 10)])),
        ("missed turns", Observed("x", delays=[0.2], missed=1)),
    ],
)
def test_what_a_person_would_mind_breaks_its_target(figure: str, seen: Observed) -> None:
    assert row(figure, seen).met is False
    assert "not met" in table(rows([seen]))


def test_a_time_meets_its_target_where_each_percentile_does() -> None:
    met = row("stop latency", Observed("x", stops=[0.11, 0.12, 0.13]))
    assert (met.value, met.target, met.met) == ("p50 120 ms, p95 129 ms", "p50 ≤ 120 ms, p95 ≤ 150 ms", True)
    one_that_lasts = row("silence because of one", Observed("x", silences=[0.5, 0.6, 3.0]))
    assert (one_that_lasts.target, one_that_lasts.met) == ("p50 ≤ 600 ms", True), "of the others nothing is asked"
    assert row("sound lost", Observed("x", lost=[9.0])).met is None


def test_long_pauses_are_told_and_not_judged() -> None:
    taken = row("takeovers in longer", Observed("x", pauses=[Pause(1.0, taken=True)]))
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


def test_takeovers_are_told_apart_by_whether_the_words_could_have_been_all() -> None:
    whole, of_a_recording = Pause(0.5, taken=True, sentence_so_far=True), Pause(0.5, taken=False)
    begun = [Pause(0.6, taken=taken, sentence_so_far=False) for taken in (True, False)]
    call = Observed("x", pauses=[whole, of_a_recording, *begun, Pause(1.0, taken=True, sentence_so_far=False)])
    assert row("takeovers in pauses up to 700", call).value == "50% (2 of 4)"
    assert row("– after words that cannot be all", call).value == "50% (1 of 2)"
    assert row("– after words that are a sentence so far", call).value == "100% (1 of 1)"


def test_the_table_has_no_row_of_which_nothing_was_seen() -> None:
    lines = table(rows([Observed("x", pauses=[Pause(0.5, taken=False)], delays=[0.2])])).splitlines()
    assert "| takeovers in pauses up to 700 ms | 0% (0 of 1) | ≤ 5% | 1 | met |" in lines
    assert not [line for line in lines if "stop latency" in line or "sentence so far" in line]


def test_servers_stand_side_by_side_with_ratios_to_the_first() -> None:
    ours = Observed("x", pauses=[Pause(0.5, taken=False)], delays=[0.2, 0.3])
    theirs = Observed("x", pauses=[Pause(0.5, taken=True)], delays=[0.5], missed=1)
    lines = side_by_side({"ours": [ours], "theirs": [theirs]}).splitlines()
    assert lines[0] == "| figure | ours | theirs | theirs ÷ ours |"
    assert "| takeovers in pauses up to 700 ms | 0% (0 of 1) | 100% (1 of 1) | – |" in lines
    assert "| response delay | p50 250 ms, p95 295 ms | p50 500 ms, p95 500 ms | 2 × |" in lines
    assert "| missed turns | 0 | 1 | – |" in lines
    assert not any("stop latency" in line for line in lines), "nobody was interrupted"
