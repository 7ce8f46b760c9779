"""Ends what a killed model process leaves behind: `python guard.py FOLDER`, with a pipe from that process as input.

vLLM computes in processes of its own, which do not notice the end of the one that started them and would go on to hold
the GPU's memory. While the pipe is open, this notes all descendants of its parent; when it closes, those that are left
are killed and FOLDER (the sockets) is removed.
"""

import contextlib
import os
import select
import shutil
import sys
from pathlib import Path

import psutil

LOOK_S = 0.5
END_S = 10.0


def watch(parent: psutil.Process, folder: Path) -> None:
    """Return when the pipe has closed and nothing is left."""
    known: set[psutil.Process] = set()  # psutil compares by id and start time, so a reused id is another process
    own = psutil.Process()
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        with contextlib.suppress(psutil.NoSuchProcess):
            known.update(parent.children(recursive=True))
        known = {process for process in known if process != own and process.is_running()}
    engines = {process for process in known if not _tracks_resources(process)}
    for process in engines:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    # Python's resource tracker unlinks the shared memory of the others once they have ended, and ends then itself.
    psutil.wait_procs(known, timeout=END_S)
    shutil.rmtree(folder, ignore_errors=True)


def _tracks_resources(process: psutil.Process) -> bool:
    try:
        return "multiprocessing.resource_tracker" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    watch(psutil.Process(os.getppid()), Path(sys.argv[1]))
