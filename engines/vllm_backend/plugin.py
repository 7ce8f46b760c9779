"""A vLLM plugin: what every process of an engine does before it serves.

vLLM calls `load` in each of its processes, as the entry point of pyproject.toml asks
(https://docs.vllm.ai/en/latest/design/plugin_system/).
"""

import time

WAIT_S = 0.0001
"""Between two looks at a queue. A step of the smallest useful model takes a hundred times as long on a CPU."""


def load() -> None:
    """Have the processes of a CPU engine sleep between two looks at the queues they share, not yield to each other.

    A process that yields is ready again at once, so that engine and worker keep two cores busy. On Linux 6.18 this kept
    whatever was of another session (autogroup) or container from running for up to 1.4 s of an answer: the
    orchestrator, with all its calls, among them. On a GPU the model is in the engine's own process: no queue.
    """
    from vllm.distributed.device_communicators import shm_broadcast
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        shm_broadcast.sched_yield = lambda: time.sleep(WAIT_S)
