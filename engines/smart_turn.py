"""Smart Turn v3: is a speaker who paused done? A small Whisper encoder that listens to how the words were said.

Published by the pipecat project (BSD-2-Clause, ONNX, 8.7 MB). It takes the last 8 s of the utterance up to the pause,
zeros before it where it is shorter, as Whisper's log-mel features [B, 80, 800], and gives the probability [B, 1] that
the turn is complete. The features follow Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak
Supervision", section 2.2, as Hugging Face's WhisperFeatureExtractor(chunk_length=8, do_normalize=True) computes them.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

SAMPLE_RATE = 16_000
SAMPLES = 8 * SAMPLE_RATE
HOP, FFT, MELS, FRAMES = 160, 400, 80, 800
BLOCK_FRAMES = 10

Floats = npt.NDArray[np.float32]


def _slaney_mel(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Slaney's mel scale: linear below 1 kHz, logarithmic above."""
    return np.where(hertz < 1000, 3 * hertz / 200, 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4))


def _slaney_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < 15, 200 * mel / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))


def _mel_filters() -> Floats:
    """Triangular filters of equal area, [MELS, FFT // 2 + 1]."""
    corners = _slaney_hertz(np.linspace(0, _slaney_mel(np.array(SAMPLE_RATE / 2)), MELS + 2))
    bins = np.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1)
    rising = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (corners[2:] - corners[:-2]))[:, None]
    return np.asarray(filters, np.float32)


_FILTERS = _mel_filters()
_WINDOW = np.hanning(FFT + 1)[:-1].astype(np.float32)


def features(pcm16_16k: npt.NDArray[np.int16]) -> Floats:
    """Log-mel features [80, 800] of the last 8 s of `pcm16_16k` [samples], zeros before it where it is shorter."""
    sound = np.zeros(SAMPLES, np.float32)
    tail = pcm16_16k[-SAMPLES:]
    if tail.size:
        sound[-tail.size :] = tail.astype(np.float32) / 32768
    sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
    padded = np.pad(sound, FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP][:FRAMES]
    power = np.abs(np.fft.rfft(frames * _WINDOW, axis=1)).astype(np.float32) ** 2
    # In products so small that OpenBLAS leaves its other threads alone: they gain nothing here, and once woken spin
    # for 25 ms, as long as all the rest takes.
    mel = np.matmul(power.reshape(-1, BLOCK_FRAMES, power.shape[1]), _FILTERS.T).reshape(FRAMES, MELS).T
    log_mel = np.log10(np.maximum(mel, 1e-10))
    return np.asarray((np.maximum(log_mel, log_mel.max() - 8) + 4) / 4, np.float32)


class SmartTurn:
    """The model, loaded; many utterances in one call. Raises FileNotFoundError where the file is missing."""

    def __init__(self, model_path: Path, *, threads: int = 1) -> None:
        if not model_path.is_file():
            raise FileNotFoundError(f"the end-of-turn model is not at {model_path}: run `goassist models pull turn`")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._model = onnxruntime.InferenceSession(model_path, options, providers=["CPUExecutionProvider"])
        self._input = self._model.get_inputs()[0].name

    def completion(self, utterances: list[npt.NDArray[np.int16]]) -> list[float]:
        """The probability that each utterance (INT16, 16 kHz, up to its pause) is complete."""
        batch = np.stack([features(utterance) for utterance in utterances])
        (probabilities,) = self._model.run(None, {self._input: batch})
        return [float(each) for each in np.asarray(probabilities).reshape(len(utterances), -1)[:, 0]]
