"""Metrics pages of several processes as one."""

from collections.abc import Sequence

# Of these the sum would say nothing: the worst worker's is shown.
MAXIMA = (
    "goassist_frame_lateness_seconds",
    "goassist_pressure_level",
    "goassist_endpointing_by_words",
    "process_start_time_seconds",
    "process_max_fds",
    "python_info",
)

GROWING = ("counter", "histogram", "summary")


def summed(pages: Sequence[str]) -> str:
    """One page in Prometheus' text format: each series is the sum over the pages that have it, see also `MAXIMA`."""
    comments: dict[str, list[str]] = {}
    samples: dict[str, dict[str, float]] = {}
    for page in pages:
        family = ""
        for line in page.splitlines():
            if line.startswith("# "):
                family = line.split(" ", 3)[2]
                kept = comments.setdefault(family, [])
                if line not in kept:
                    kept.append(line)
                samples.setdefault(family, {})
            elif line:
                series, _, text = line.rpartition(" ")
                found, value = samples[family], float(text)
                so_far = found.get(series, 0.0)
                found[series] = max(so_far, value) if series.startswith(MAXIMA) else so_far + value
    lines = []
    for family, found in samples.items():
        lines += comments[family] + [f"{series} {value!r}" for series, value in found.items()]
    return "\n".join(lines) + "\n"


def counters(page: str) -> str:
    """Of a page, what only grows."""
    lines = page.splitlines()
    kinds = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE "))
    kept, family = [], ""
    for line in lines:
        if line.startswith("# "):
            family = line.split(" ", 3)[2]
        if kinds.get(family) in GROWING:
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)
