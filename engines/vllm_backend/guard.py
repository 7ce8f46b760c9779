"""Ends what a killed model process leaves behind: `python guard.py FOLDER`, with a pipe from that process as input.

vLLM computes in processes of its own, which do not notice the end of the one that started them and would go on to hold
the GPU's memory. While the pipe is open, this notes all descendants of its parent and the shared memory that they use;
when it closes, those that are left are killed, and the shared memory and FOLDER (the sockets) are removed.
"""

import contextlib
import os
import re
import select
import shutil
import sys
from pathlib import Path

import psutil

LOOK_S = 1.0
END_S = 10.0
SHARED_MEMORY = re.compile(r"/dev/shm/(?:psm_|sem\.mp-)\S+")
"""What Python's multiprocessing makes there."""


def watch(parent: psutil.Process, folder: Path) -> None:
    """Return when the pipe has closed and nothing is left."""
    known: set[psutil.Process] = set()  # psutil compares by id and start time, so a reused id is another process
    shared: set[Path] = set()
    own = psutil.Process()
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        with contextlib.suppress(psutil.NoSuchProcess):
            known.update(parent.children(recursive=True))
        known = {process for process in known if process != own and process.is_running()}
        shared = {path for path in shared.union(*map(shared_memory, {parent, *known})) if path.exists()}
    for process in known:
        with contextlib.suppress(psutil.NoSuchProcess):
            # Python's resource tracker ends by itself after the others, having removed what they had registered.
            if "multiprocessing.resource_tracker" not in " ".join(process.cmdline()):
                process.kill()
    psutil.wait_procs(known, timeout=END_S)
    for path in shared:
        path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def shared_memory(process: psutil.Process) -> set[Path]:
    """The regions that the process has mapped."""
    try:
        return set(map(Path, SHARED_MEMORY.findall(Path(f"/proc/{process.pid}/maps").read_text())))
    except (FileNotFoundError, ProcessLookupError):
        return set()


if __name__ == "__main__":
    watch(psutil.Process(os.getppid()), Path(sys.argv[1]))
