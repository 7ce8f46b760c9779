"""Ends what a killed model process leaves behind: `python guard.py FOLDER`, with a pipe from that process as input.

vLLM computes in processes of its own, which do not notice the end of the one that started them and would go on to hold
the GPU's memory. While the pipe is open, this notes all descendants of its parent; when it closes, those that are left
get a moment to stop and are then killed, and FOLDER (the sockets) is removed.
"""

import contextlib
import os
import select
import shutil
import sys
from pathlib import Path

import psutil

LOOK_S = 0.5
GRACE_S = 5.0


def watch(parent: psutil.Process, folder: Path) -> None:
    """Return when the pipe has closed and nothing is left."""
    known: set[psutil.Process] = set()  # psutil compares by id and start time, so a reused id is another process
    own = psutil.Process()
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        with contextlib.suppress(psutil.NoSuchProcess):
            known.update(parent.children(recursive=True))
        known = {process for process in known if process != own and process.is_running()}
    # The parent may be ending its engine in good order at this moment.
    _, left = psutil.wait_procs(known, timeout=GRACE_S)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=GRACE_S)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    watch(psutil.Process(os.getppid()), Path(sys.argv[1]))
