"""What a measurement ran on, to be kept beside its figures."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def machine() -> dict[str, str | int]:
    """Processor, cores, system, Python, and the commit that was measured."""
    processor = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    described = ["git", "describe", "--always", "--exclude=*"]
    commit = subprocess.run(described, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": os.cpu_count() or 1,
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
