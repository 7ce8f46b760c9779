"""This machine's microphone and loudspeaker, through the optional `sounddevice` package."""

import sys
from collections import deque
from types import TracebackType
from typing import Any, Self

import numpy as np

from goassist_client.errors import SoundError
from goassist_client.microphone import FRAME_SAMPLES
from goassist_client.recording import SAMPLE_RATE, Packet
from goassist_client.sound import MICROPHONE_RATE, Samples

BUFFERED_FRAMES = 25
"""Half a second each way: what is older is late, and late sound is worth nothing in a conversation."""


class Devices:
    """The default input and output device as a source and a sink of 20 ms frames; a context manager.

    The device's own thread calls in; deques are the only thing that it shares with the event loop.
    """

    def __init__(self) -> None:
        """Raises SoundError where the package, its library or a device is missing."""
        sounddevice = _sounddevice()
        self._captured: deque[Samples] = deque(maxlen=BUFFERED_FRAMES)
        self._playing: deque[Samples] = deque(maxlen=BUFFERED_FRAMES)
        frame = SAMPLE_RATE // 50
        try:
            self._input = sounddevice.InputStream(
                samplerate=MICROPHONE_RATE, blocksize=FRAME_SAMPLES, channels=1, dtype="int16", callback=self._capture
            )
            self._output = sounddevice.OutputStream(
                samplerate=SAMPLE_RATE, blocksize=frame, channels=1, dtype="int16", callback=self._play
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise SoundError(
                f"the microphone or loudspeaker cannot be opened ({error}); `python -m sounddevice` lists what there "
                "is. Without one, give a WAV file: goassist talk question.wav --save answer.wav"
            ) from error

    def __enter__(self) -> Self:
        self._input.start()
        self._output.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._input.close()
        self._output.close()

    def frame(self) -> Samples:
        """The oldest captured 20 ms; silence where the device has none ready."""
        return self._captured.popleft() if self._captured else np.zeros(FRAME_SAMPLES, np.int16)

    def hear(self, packet: Packet) -> None:
        """Play a packet of the agent."""
        self._playing.append(packet.samples)

    def _capture(self, samples: Samples, frames: int, when: Any, status: Any) -> None:
        self._captured.append(samples[:, 0].copy())

    def _play(self, out: Samples, frames: int, when: Any, status: Any) -> None:
        samples = self._playing.popleft() if self._playing else np.zeros(0, np.int16)
        used = min(len(samples), frames)
        out[:used, 0] = samples[:used]
        out[used:, 0] = 0


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise SoundError(
            "talking with this machine's microphone needs the `sounddevice` package: "
            f"{sys.executable} -m pip install 'goassist[microphone]'. Or give a WAV file: goassist talk question.wav"
        ) from error
    except OSError as error:
        raise SoundError(
            "the PortAudio library is missing: apt install libportaudio2. "
            "Or give a WAV file: goassist talk question.wav"
        ) from error
    return sounddevice
