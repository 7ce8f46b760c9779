"""What vLLM wants of its process before it is imported."""

import locale
import os
import tempfile
from pathlib import Path

_DEFAULTS = {
    "HF_HUB_OFFLINE": "1",  # weights come from `goassist models pull`, never in mid-start from a network
    "VLLM_NO_USAGE_STATS": "1",
    # A fork of Triton's stub, full of threads that hold locks, can hang.
    "VLLM_WORKER_MULTIPROCESSING_METHOD": "spawn",
}


def prepare() -> Path:
    """Set the process up and return the folder for the engine's sockets, which whoever ends the engine removes.

    Variables that the operator has set win.
    """
    # Triton's stub runs in the C locale, in which vLLM reads its own sources as ASCII and fails.
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    sockets = tempfile.mkdtemp(prefix=f"goassist-vllm-{os.getpid()}-")
    os.environ["VLLM_RPC_BASE_PATH"] = sockets
    return Path(sockets)
