"""Sound files of all kinds become 16 kHz mono."""

import wave
from pathlib import Path

import numpy as np
import pytest
from goassist_client.errors import SoundError
from goassist_client.sound import SILENCE_DBFS, level_dbfs, read_sound, sounding_span, write_wav


def write(path: Path, samples: np.ndarray, rate: int, channels: int, width: int) -> Path:
    scaled = {1: lambda: (samples * 127 + 128).astype(np.uint8), 2: lambda: (samples * 32767).astype("<i2")}[width]()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.repeat(scaled, channels).tobytes())
    return path


def dominant_hz(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.mark.parametrize(("rate", "channels", "width"), [(8000, 1, 2), (16000, 1, 2), (44100, 2, 2), (48000, 2, 1)])
def test_any_rate_width_and_channels_become_16_khz_mono(tmp_path: Path, rate: int, channels: int, width: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    samples = read_sound(write(tmp_path / "tone.wav", tone, rate, channels, width))
    assert samples.dtype == np.int16
    assert len(samples) == pytest.approx(16000, abs=32)
    assert dominant_hz(samples, 16000) == pytest.approx(440, abs=3)
    assert level_dbfs(samples) == pytest.approx(-9, abs=0.5)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match=r"nothing\.wav: no such file"):
        read_sound(tmp_path / "nothing.wav")


def test_a_file_that_is_no_sound_says_what_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "notes.wav"
    path.write_text("these are not samples")
    with pytest.raises(SoundError, match="give a WAV file"):
        read_sound(path)


def test_a_wav_file_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="no samples"):
        read_sound(write(tmp_path / "empty.wav", np.zeros(0), 16000, 1, 2))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    samples = np.arange(-8000, 8000, dtype=np.int16)
    write_wav(tmp_path / "ramp.wav", samples, 16000)
    assert np.array_equal(read_sound(tmp_path / "ramp.wav"), samples)


def test_a_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="cannot be written"):
        write_wav(tmp_path / "no such folder" / "answer.wav", np.zeros(10, np.int16), 16000)


def test_silence_has_the_lowest_level_and_full_scale_has_none() -> None:
    assert level_dbfs(np.zeros(100, np.int16)) == SILENCE_DBFS
    assert level_dbfs(np.zeros(0, np.int16)) == SILENCE_DBFS
    assert level_dbfs(np.full(100, -32768, np.int16)) == pytest.approx(0)


def test_the_sounding_part_of_a_recording_is_found_to_10_ms() -> None:
    loud = np.full(1600, 5000, np.int16)
    samples = np.concatenate([np.zeros(3200, np.int16), loud, np.zeros(8000, np.int16)])
    assert sounding_span(samples, 16000) == (3200, 4800)


def test_a_silent_recording_sounds_from_its_beginning_to_its_end() -> None:
    assert sounding_span(np.zeros(1000, np.int16), 16000) == (0, 1000)
