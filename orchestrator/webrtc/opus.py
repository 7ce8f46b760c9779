"""libopus through ctypes: the copy that PyAV's wheel carries, or the system's.

The codec states live in memory that Python owns (opus_*_init instead of opus_*_create), so that they are freed with
their object: nothing to close, nothing to free twice. Calls keep the GIL (PyDLL): each takes some 20 to 40 µs.
"""

import ctypes
import ctypes.util
import functools
from collections.abc import Iterator
from pathlib import Path

import av

from orchestrator.errors import ConfigurationError

FRAME_S = 0.02
SAMPLE_RATES = (8000, 12000, 16000, 24000, 48000)
MAX_PACKET_S = 0.12  # the longest packet there is (RFC 6716 section 3.2.5)
MAX_PAYLOAD = 1275  # the longest frame there is

_APPLICATION_RESTRICTED_LOWDELAY = 2051
_SET_BITRATE, _SET_COMPLEXITY = 4002, 4010


class OpusError(Exception):
    """libopus refused its input; the text is its own."""


def _candidates() -> Iterator[str]:
    bundled = Path(av.__file__).parent.parent / "av.libs"
    yield from sorted(map(str, bundled.glob("libopus*")))
    if system := ctypes.util.find_library("opus"):
        yield system


@functools.cache
def _library() -> ctypes.PyDLL:
    """The loaded library with its signatures declared. Raises ConfigurationError where there is none."""
    for path in _candidates():
        try:
            library = ctypes.PyDLL(path)
        except OSError:
            continue
        state, integer, samples = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
        library.opus_encoder_init.argtypes = [state, integer, integer, integer]
        library.opus_decoder_init.argtypes = [state, integer, integer]
        library.opus_encode.argtypes = [state, samples, integer, ctypes.c_void_p, integer]
        library.opus_decode.argtypes = [state, samples, integer, ctypes.c_void_p, integer, integer]
        library.opus_packet_get_nb_samples.argtypes = [samples, integer, integer]
        library.opus_strerror.restype = ctypes.c_char_p
        return library
    raise ConfigurationError(
        "libopus was not found: install PyAV from its wheel (pip install --force-reinstall --only-binary av av), "
        "which carries it, or the system's package libopus0."
    )


def _checked(result: int) -> int:
    if result < 0:
        raise OpusError(_library().opus_strerror(result).decode())
    return result


def packet_samples(payload: bytes) -> int:
    """How much sound a payload holds, in samples of the 48 kHz RTP clock. Raises OpusError for a malformed one."""
    return _checked(_library().opus_packet_get_nb_samples(payload, len(payload), 48000))


class Encoder:
    """20 ms of INT16 mono sound → one Opus payload.

    Low-delay mode (CELT) at complexity 3 costs a third of the speech mode at its default and 2.5 ms of delay instead
    of 6.5; the speech mode's in-band error correction is what it lacks. Raises ValueError for a rate that Opus lacks.
    """

    def __init__(self, sample_rate: int, *, bitrate: int = 32000, complexity: int = 3) -> None:
        if sample_rate not in SAMPLE_RATES:
            raise ValueError(f"Opus encodes {SAMPLE_RATES} Hz, not {sample_rate}")
        library = _library()
        self.sample_rate = sample_rate
        self.frame_samples = int(sample_rate * FRAME_S)
        self._memory = ctypes.create_string_buffer(library.opus_encoder_get_size(1))
        self._state = ctypes.addressof(self._memory)
        _checked(library.opus_encoder_init(self._state, sample_rate, 1, _APPLICATION_RESTRICTED_LOWDELAY))
        self._control(_SET_BITRATE, bitrate)
        self._control(_SET_COMPLEXITY, complexity)
        self._output = ctypes.create_string_buffer(MAX_PAYLOAD)
        self._output_address = ctypes.addressof(self._output)
        self._encode = library.opus_encode
        # A frame is coded as a difference to the one before. Begun with silence, the first is right for any decoder,
        # whatever it has heard of another encoder; else it is a burst in the midst of sound, and faint after silence.
        self.encode(bytes(2 * self.frame_samples))

    def encode(self, pcm16: bytes) -> bytes:
        """Encode one frame of exactly 20 ms. Raises ValueError for any other length."""
        if len(pcm16) != 2 * self.frame_samples:
            raise ValueError(f"a frame at {self.sample_rate} Hz has {2 * self.frame_samples} bytes, not {len(pcm16)}")
        length = self._encode(self._state, pcm16, self.frame_samples, self._output_address, MAX_PAYLOAD)
        return ctypes.string_at(self._output_address, _checked(length))

    def _control(self, request: int, value: int) -> None:
        # Variadic in C: no argtypes, so that ctypes passes the value as an int.
        library = _library()
        _checked(library.opus_encoder_ctl(ctypes.c_void_p(self._state), request, ctypes.c_int(value)))


class Decoder:
    """Opus payloads of any rate, length and number of channels → INT16 mono sound at `sample_rate`."""

    def __init__(self, sample_rate: int = 16000) -> None:
        library = _library()
        self.sample_rate = sample_rate
        self._memory = ctypes.create_string_buffer(library.opus_decoder_get_size(1))
        self._state = ctypes.addressof(self._memory)
        _checked(library.opus_decoder_init(self._state, sample_rate, 1))
        self._max_samples = int(sample_rate * MAX_PACKET_S)
        self._output = ctypes.create_string_buffer(2 * self._max_samples)
        self._output_address = ctypes.addressof(self._output)
        self._decode = library.opus_decode

    def decode(self, payload: bytes) -> bytes:
        """The sound of one payload. Raises OpusError for a malformed one."""
        count = self._decode(self._state, payload, len(payload), self._output_address, self._max_samples, 0)
        return ctypes.string_at(self._output_address, 2 * _checked(count))

    def conceal(self, samples: int) -> bytes:
        """Sound for a lost payload of `samples`, a multiple of 2.5 ms up to 120 ms, made of what came before."""
        count = self._decode(self._state, None, 0, self._output_address, samples, 0)
        return ctypes.string_at(self._output_address, 2 * _checked(count))

    def recover(self, next_payload: bytes, samples: int) -> bytes:
        """The same, from the copy that the payload after it may carry (in-band FEC); conceals where it carries none."""
        count = self._decode(self._state, next_payload, len(next_payload), self._output_address, samples, 1)
        return ctypes.string_at(self._output_address, 2 * _checked(count))
