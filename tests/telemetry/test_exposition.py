"""Metrics pages of several processes are one."""

from orchestrator.telemetry.exposition import counters, summed
from orchestrator.telemetry.metrics import Metrics


def test_pages_are_summed_series_by_series() -> None:
    one = '# HELP a A.\n# TYPE a counter\na{x="1 2"} 1.0\n# HELP goassist_frame_lateness_seconds L.\n'
    one += 'goassist_frame_lateness_seconds{quantile="1"} 0.5\n'
    two = '# HELP a A.\n# TYPE a counter\na{x="1 2"} 2.0\na{x="3"} 4.0\n# HELP goassist_frame_lateness_seconds L.\n'
    two += 'goassist_frame_lateness_seconds{quantile="1"} 0.2\n'
    assert summed([one, two]) == (
        '# HELP a A.\n# TYPE a counter\na{x="1 2"} 3.0\na{x="3"} 4.0\n# HELP goassist_frame_lateness_seconds L.\n'
        'goassist_frame_lateness_seconds{quantile="1"} 0.5\n'
    )


def test_whether_words_alone_end_turns_stays_yes_or_no() -> None:
    page = "# TYPE goassist_endpointing_by_words gauge\ngoassist_endpointing_by_words 1.0\n"
    assert summed([page, page]) == page


def test_of_a_page_the_counters_can_be_kept() -> None:
    page = "# HELP a A.\n# TYPE a gauge\na 3.0\n# HELP b_total B.\n# TYPE b_total counter\nb_total 1.0\n"
    page += '# TYPE c histogram\nc_bucket{le="+Inf"} 2.0\nc_count 2.0\nc_sum 0.5\n'
    assert counters(page) == page[page.index("# HELP b_total") :]
    assert counters("") == ""
    kept = counters(Metrics().exposition().decode())
    assert "process_cpu_seconds_total " in kept
    assert "goassist_ttfa_seconds_bucket" in kept
    assert "process_resident_memory_bytes" not in kept
    assert "goassist_sessions_active" not in kept
