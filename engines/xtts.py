"""Speech synthesis by XTTS-v2 through the maintained `TTS` package (coqui-tts): 17 languages, voices from recordings.

The code is MPL-2.0; the weights are under the Coqui Public Model License, which forbids commercial use of them and of
their output. So the engine starts only where the operator has accepted that licence.

The folder `model_path` is a copy of the hub's coqui/XTTS-v2: config.json, model.pth, vocab.json, speakers_xtts.pth.
A voice is one of the speakers of the last file, or a recording of at least one second in the folder `voices_path`,
named after its file. What the model takes from a recording (its latents) is computed once and kept on disk.
"""

import copy
import hashlib
import importlib.util
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engines import text as texts
from engines.errors import ModelSetupError
from engines.synthesizer import MAX_CHUNK_S, Sound, checked_text, choose, choose_language

LOGGER = logging.getLogger(__name__)
LICENSE_SETTING = "XTTS_LICENSE_ACCEPTED"
LICENSE_REFUSAL = (
    "XTTS-v2's weights are under the Coqui Public Model License, which forbids commercial use of the weights and of "
    "the speech made with them (https://coqui.ai/cpml). If your use is non-commercial and you accept the licence, set "
    f"{LICENSE_SETTING}=1 in Triton's environment or the tts model's parameter license_accepted to true. "
    "Otherwise use Kokoro-82M, whose weights are Apache-2.0: set the parameter engine to kokoro."
)
_REFERENCE_S = 30
_PACKAGES = {"ja": "cutlet", "zh": "pypinyin"}
"""Packages without which the tokenizer cannot read a language."""
_MODEL_FILES = ("config.json", "model.pth", "vocab.json")

Latents = tuple[Any, Any]
"""What inference needs of a voice: torch tensors [1, n, channels] for the GPT and [1, d_vector, 1] for the vocoder."""


class Xtts:
    """The engine; see engines.synthesizer. Requests run side by side on one copy of the weights."""

    def __init__(
        self,
        folder: Path,
        *,
        voices_folder: Path | None = None,
        latents_folder: Path | None = None,
        device: str = "cpu",
        chunk_tokens: int = 10,
        top_k: int | None = None,
    ) -> None:
        self._model = _model(folder, device)
        self._chunk_tokens = chunk_tokens
        self._sampling = {
            "temperature": self._model.config.temperature,
            "length_penalty": self._model.config.length_penalty,
            "repetition_penalty": self._model.config.repetition_penalty,
            "top_k": top_k or self._model.config.top_k,
            "top_p": self._model.config.top_p,
        }
        self._latents = _recorded_voices(self._model, folder, voices_folder, latents_folder)
        if self._model.speaker_manager is not None:
            for name, speaker in self._model.speaker_manager.speakers.items():
                self._latents.setdefault(name, tuple(speaker.values()))
        if not self._latents:
            raise ModelSetupError(
                f"XTTS has no voice: put recordings (name.wav) into {voices_folder or 'a folder'} and name it in the "
                f"parameter voices_path, or add speakers_xtts.pth to {folder}"
            )
        self._closed = threading.Event()
        self.sample_rate = int(self._model.config.audio.output_sample_rate)
        self.voices = list(self._latents)
        names = [language.split("-")[0] for language in self._model.config.languages]
        self.languages = [
            name for name in names if name not in _PACKAGES or importlib.util.find_spec(_PACKAGES[name]) is not None
        ]

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> "Xtts":
        """Make the engine from model parameters.

        `license_accepted` (true, or XTTS_LICENSE_ACCEPTED=1 in the environment), `model_path`, `voices_path`,
        `latents_path` (default: .latents in voices_path), `device` (cuda, the default, or cpu), `chunk_tokens` (of
        46 ms each, in the first and every further chunk of a sentence; default 10), `top_k` (default: the model's).
        """
        accepted = (parameters.get("license_accepted", ""), os.environ.get(LICENSE_SETTING, ""))
        if not any(answer.lower() in ("1", "true", "yes") for answer in accepted):
            raise ModelSetupError(LICENSE_REFUSAL)
        voices, latents = parameters.get("voices_path"), parameters.get("latents_path")
        return cls(
            Path(parameters.get("model_path", "")),
            voices_folder=Path(voices) if voices else None,
            latents_folder=Path(latents) if latents else None,
            device=parameters.get("device", "cuda"),
            chunk_tokens=int(parameters.get("chunk_tokens", "10")),
            top_k=int(parameters["top_k"]) if parameters.get("top_k") else None,
        )

    def synthesize(self, text: str, *, voice: str | None, language: str | None, speed: float) -> Sound:
        """Return the sound of `text`, sentence by sentence."""
        checked_text(text, speed)
        spoken_in = choose_language(language, self.languages)
        latents = self._latents[choose("voice", voice, self.voices)]
        spoken = texts.spoken_text(text).translate({ord("["): " ", ord("]"): " "})  # the vocabulary has tokens [STOP] …
        return self._stream(spoken, latents, spoken_in, speed)

    def close(self) -> None:
        """Stop running syntheses at their next chunk."""
        self._closed.set()

    def _stream(self, text: str, latents: Latents, language: str, speed: float) -> Sound:
        # inference_stream vocodes a whole request again at every chunk: hence one sentence a time.
        for sentence in texts.sentences(text, limit=self._model.tokenizer.char_limits[language]):
            if texts.is_silent(sentence):
                continue
            chunks = _view(self._model).inference_stream(
                sentence, language, *latents, stream_chunk_size=self._chunk_tokens, speed=speed, **self._sampling
            )
            try:
                for chunk in chunks:
                    if self._closed.is_set():
                        return
                    yield from _pieces(chunk, self.sample_rate)
            finally:
                chunks.close()


def _pieces(chunk: Any, sample_rate: int) -> Sound:
    samples = np.clip(chunk.float().cpu().numpy() * 32_767.0, -32_768, 32_767).astype(np.int16)
    size = int(MAX_CHUNK_S * sample_rate)
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def _view(model: Any) -> Any:
    """Return a model over the same weights with a state of its own.

    The part that generates keeps the prompt of the request on itself, so two requests would get each other's.
    """
    gpt = _shallow(model.gpt, gpt_inference=_shallow(model.gpt.gpt_inference))
    return _shallow(model, gpt=gpt)


def _shallow(module: Any, **children: Any) -> Any:
    twin = copy.copy(module)
    twin._modules = {**module._modules, **children}
    return twin


def _model(folder: Path, device: str) -> Any:
    missing = [name for name in _MODEL_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelSetupError(
            f"XTTS-v2's weights are not in '{folder}' ({', '.join(missing)} missing): run `goassist models pull xtts`, "
            "or set model_path in the tts model's configuration"
        )
    import torch
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts as Model

    if device not in ("cuda", "cpu"):
        raise ModelSetupError(f"XTTS: device is {device!r}; it can be: cuda, cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelSetupError("XTTS: no CUDA device is there: set the parameter device to cpu, where XTTS is slow")
    torch.set_flush_denormal(True)  # numbers too small to be normal slow a CPU down by an order of magnitude
    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Model(config)
    model.load_checkpoint(config, checkpoint_dir=str(folder))
    return model.to(device)


def _recorded_voices(model: Any, folder: Path, voices: Path | None, cache: Path | None) -> dict[str, Latents]:
    if voices is None:
        return {}
    if not voices.is_dir():
        raise ModelSetupError(f"XTTS: voices_path names '{voices}', which is no folder")
    cache = cache or voices / ".latents"
    weights = (folder / "model.pth").stat()
    identity = f"{weights.st_size} {weights.st_mtime_ns}".encode()
    return {path.stem: _latents(model, path, identity, cache) for path in sorted(voices.glob("*.wav"))}


def _latents(model: Any, recording: Path, identity: bytes, cache: Path) -> Latents:
    """Return the latents of a recording, from the cache where it holds those of this very recording and model."""
    import torch

    digest = hashlib.sha256(recording.read_bytes() + identity).hexdigest()[:16]
    kept = cache / f"{recording.stem}-{digest}.npz"
    if kept.is_file():
        with np.load(kept) as arrays:
            return torch.from_numpy(arrays["gpt"]), torch.from_numpy(arrays["speaker"])
    latents = _computed_latents(model, recording)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}.npz")  # another server may read while this one writes
        np.savez(partial, gpt=latents[0].cpu().numpy(), speaker=latents[1].cpu().numpy())
        partial.replace(kept)
    except OSError as error:
        LOGGER.warning("XTTS cannot keep the latents of %s (%s): every start computes them again", recording, error)
    return latents


def _computed_latents(model: Any, recording: Path) -> Latents:
    import soundfile
    import torch

    # soundfile, not the package's own loader, which needs FFmpeg's libraries.
    try:
        samples, rate = soundfile.read(recording, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ModelSetupError(f"XTTS cannot read the voice {recording}: {error}") from error
    if len(samples) < rate:
        raise ModelSetupError(f"XTTS: the voice {recording} has less than one second of sound")
    audio = torch.from_numpy(samples.mean(axis=1))[None, : _REFERENCE_S * rate].to(model.device)
    config = model.config
    gpt = model.get_gpt_cond_latents(audio, rate, length=config.gpt_cond_len, chunk_length=config.gpt_cond_chunk_len)
    speaker = model.get_speaker_embedding(audio[:, : config.max_ref_len * rate], rate)
    return gpt, speaker
