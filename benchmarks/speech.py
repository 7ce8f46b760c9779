"""What the callers of a benchmark say: sound files, encoded once, frame by frame."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from orchestrator.webrtc.opus import Encoder

RATE = 48_000
FRAME = RATE // 50
PEAK = 12_000
ROOM_NOISE = 6.0  # standard deviation in INT16 steps: a quiet room, never digital silence
SILENCE_FRAMES = 90


@dataclass(frozen=True, slots=True)
class Utterance:
    """Opus payloads of 20 ms: the speech, then a little room noise that ends its last packet's influence."""

    payloads: list[bytes]
    speech_frames: int


def utterance(path: Path) -> Utterance:
    """A file's sound at a normal level, without the silence around it."""
    samples = _trimmed(_samples(path))
    tail = _noise(15 * FRAME)
    return Utterance(_encoded(np.concatenate([samples, tail])), len(samples) // FRAME)


def silence() -> list[bytes]:
    """Payloads of room noise, to be repeated."""
    return _encoded(_noise((SILENCE_FRAMES + 10) * FRAME))[10:]


def _samples(path: Path) -> npt.NDArray[np.float64]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float64)
    return np.asarray(samples * (PEAK / np.abs(samples).max()), np.float64)


def _trimmed(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    level = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(level > 0.06 * level.max())
    return frames[loud[0] : loud[-1] + 1].ravel()


def _noise(count: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(0).standard_normal(count) * ROOM_NOISE


def _encoded(samples: npt.NDArray[np.float64]) -> list[bytes]:
    encoder = Encoder(RATE)
    pcm16 = samples.astype("<i2")
    return [encoder.encode(pcm16[i : i + FRAME].tobytes()) for i in range(0, len(pcm16) - FRAME + 1, FRAME)]
