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
    samples = spoken(path)
    tail = noise(15 * FRAME)
    return Utterance(_encoded(np.concatenate([samples, tail])), len(samples) // FRAME)


def silence() -> list[bytes]:
    """Payloads of room noise, to be repeated."""
    return _encoded(noise((SILENCE_FRAMES + 10) * FRAME))[10:]


def spoken(path: Path) -> npt.NDArray[np.float64]:
    """A file's sound at 48 kHz and a normal level, in whole frames of 20 ms from the first to the last audible one."""
    return _trimmed(_samples(path))


def noise(count: int) -> npt.NDArray[np.float64]:
    """So many samples of a quiet room."""
    return np.random.default_rng(0).standard_normal(count) * ROOM_NOISE


def browser_payloads(
    pcm16_48k: bytes, duration_ms: float = 20, *, application: str = "voip", channels: int = 1, **options: str
) -> list[bytes]:
    """Opus payloads as browsers make them: in speech mode and of any length, by the encoder that PyAV has."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    layout = "mono" if channels == 1 else "stereo"
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = RATE, layout, "s16", 32000 * channels
    encoder.options = {"application": application, "frame_duration": str(duration_ms), **options}
    encoder.open()
    sound = np.repeat(np.frombuffer(pcm16_48k, "<i2"), channels)
    size, payloads = int(duration_ms * RATE / 1000), []
    for index in range(len(sound) // channels // size):
        block = sound[index * size * channels : (index + 1) * size * channels]
        frame = av.AudioFrame.from_ndarray(block[None].copy(), format="s16", layout=layout)
        frame.sample_rate, frame.pts = RATE, index * size
        payloads += [bytes(packet) for packet in encoder.encode(frame)]
    return payloads


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


def _encoded(samples: npt.NDArray[np.float64]) -> list[bytes]:
    encoder = Encoder(RATE)
    pcm16 = samples.astype("<i2")
    return [encoder.encode(pcm16[i : i + FRAME].tobytes()) for i in range(0, len(pcm16) - FRAME + 1, FRAME)]
