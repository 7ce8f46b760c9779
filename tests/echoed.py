"""Sound as a call hears it, for the tests of the agent's echo."""

import numpy as np

from orchestrator.echo import Samples
from orchestrator.webrtc.opus import Decoder, Encoder
from tests.engines import recordings


def recording(name: str) -> Samples:
    """A committed recording, INT16 mono at 16 kHz."""
    return np.frombuffer(recordings.recording(name), np.int16)


def through_opus(samples: Samples) -> Samples:
    """What Opus makes of it, in whole frames of 20 ms."""
    encoder, decoder = Encoder(16_000), Decoder(16_000)
    frames = [samples[i : i + 320].tobytes() for i in range(0, samples.size - 319, 320)]
    return np.frombuffer(b"".join(decoder.decode(encoder.encode(frame)) for frame in frames), np.int16)
