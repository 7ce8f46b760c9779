"""Chunks of speech that are as few as they can be without anybody having to wait for them.

What a caller has still to play it need not get in small pieces: each costs a response of Triton's and an event at the
other end, whatever its length. So an engine's chunks go out as they come until the caller is well ahead of what it has
played, and from then on joined to the longest that the contract allows.
"""

import time
from collections.abc import Callable
from contextlib import closing

import numpy as np

from engines.synthesizer import MAX_CHUNK_S, Samples, Sound

# A caller that has less than this to play gets what there is. It is what an engine has time for between two chunks.
AHEAD_S = 0.4


def joined(sound: Sound, sample_rate: int, *, clock: Callable[[], float] = time.monotonic) -> Sound:
    """Yield the same samples in fewer chunks of 200 ms or less, provided that those of `sound` are; closes `sound`.

    Empty chunks, by which an engine lets its caller look for a cancellation, pass as they are.
    """
    longest = int(MAX_CHUNK_S * sample_rate)
    held: list[Samples] = []
    sent = 0
    began_s: float | None = None

    def is_due(more: int) -> bool:
        assert began_s is not None
        full = sum(map(len, held)) + more > longest
        return full or sent / sample_rate - (clock() - began_s) < AHEAD_S

    def taken() -> Samples:
        nonlocal sent
        chunk = held[0] if len(held) == 1 else np.concatenate(held)
        held.clear()
        sent += len(chunk)
        return chunk

    with closing(sound):
        for chunk in sound:
            if held and is_due(len(chunk)):
                yield taken()
            if not len(chunk):
                yield chunk
                continue
            began_s = clock() if began_s is None else began_s
            held.append(chunk)
            if is_due(1):
                yield taken()
        if held:
            yield taken()
