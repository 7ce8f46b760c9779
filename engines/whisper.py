"""Whisper by faster-whisper and CTranslate2: windows of sound of many utterances, decoded in one call."""

import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_compression_ratio

from engines.agreement import Decoded, Time, Unit
from engines.audio import SAMPLE_RATE
from engines.errors import InvalidInputError, ModelSetupError

LOGGER = logging.getLogger(__name__)
MAX_TOKENS = 224  # of a window, as Whisper was trained
TOKENS_PER_S, TOKENS_AT_LEAST = 12, 16
"""No one speaks faster: a hypothesis that goes on is one of Whisper's endless repetitions."""
_MAX_HOTWORD_TOKENS = 223
_FILES = ("model.bin", "config.json", "tokenizer.json")


@dataclass(frozen=True, slots=True)
class Limits:
    """When a hypothesis is not believed; the defaults are those of Whisper's authors."""

    no_speech: float = 0.6  # probability of no speech above which, and
    log_probability: float = -1.0  # mean log probability of a token below which there is no speech
    compression: float = 2.4  # of text to zlib's result, above which the model repeats itself


@dataclass(frozen=True, slots=True)
class Window:
    """At most 30 s of one utterance. The hypothesis is to begin with `prefix`; `timed` asks for times."""

    pcm16_16k: bytes
    language: str | None = None
    hotwords: tuple[int, ...] = ()
    prefix: tuple[int, ...] = ()
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """`decoded` is None where the model only repeated itself; `language` is the one given or detected."""

    decoded: Decoded | None
    language: str


class Whisper:
    """The model. One thread at a time may decode."""

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "cpu",
        compute_type: str = "int8",
        beam_size: int = 1,
        threads: int = 0,
        limits: Limits | None = None,
    ) -> None:
        try:
            self._whisper = WhisperModel(str(folder), device=device, compute_type=compute_type, cpu_threads=threads)
        except (RuntimeError, ValueError) as error:
            raise ModelSetupError(
                f"Whisper cannot be loaded from '{folder}' on {device} as {compute_type}: {error}"
            ) from error
        self.device = device
        self.calls = 0
        """How often CTranslate2 was asked to write text."""
        self._beam_size = beam_size
        self._limits = limits or Limits()
        self._model = self._whisper.model
        self.languages = tuple(
            code
            for code in self._whisper.supported_languages
            if not self._model.is_multilingual or self._whisper.hf_tokenizer.token_to_id(f"<|{code}|>") is not None
        )
        self._tokenizers = {code: self._tokenizer(code) for code in self.languages}
        self._features = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="whisper features")

    @property
    def detects_language(self) -> bool:
        """Whether it finds out the language where none is given."""
        return bool(self._model.is_multilingual)

    def hotword_tokens(self, hotwords: str) -> tuple[int, ...]:
        """The text that comes before a window's own, so that its words are expected.

        Whisper's own marks in it, such as <|startoftranscript|>, are left out: CTranslate2 refuses a prompt with them.
        """
        tokenizer = self._tokenizers[self.languages[0]]
        tokens = [token for token in tokenizer.encode(" " + hotwords.strip()) if token < tokenizer.eot]
        return (tokenizer.sot_prev, *tokens[:_MAX_HOTWORD_TOKENS])

    def decode(self, windows: Sequence[Window]) -> list[Result]:
        """Decode all windows in one call, or in one for each length of their hotwords: CTranslate2 wants it equal."""
        groups: dict[int, list[int]] = defaultdict(list)
        for number, window in enumerate(windows):
            groups[len(window.hotwords)].append(number)
        results: dict[int, Result] = {}
        for numbers in groups.values():
            group = self._decode([windows[number] for number in numbers])
            results.update(zip(numbers, group, strict=True))
        return [results[number] for number in range(len(windows))]

    def close(self) -> None:
        """Free the model's memory."""
        self._features.shutdown(cancel_futures=True)
        self._model.unload_model()

    def _decode(self, windows: Sequence[Window]) -> list[Result]:
        encoded = self._encoded(list(self._features.map(self._spectrum, windows)))
        languages = [window.language for window in windows]
        if not all(languages):
            detected = self._detected(encoded)
            languages = [language or found for language, found in zip(languages, detected, strict=True)]
        tokenizers = [self._tokenizers[str(language)] for language in languages]
        prompts, length, limit = [], 0, 0
        for window, tokenizer in zip(windows, tokenizers, strict=True):
            prompt = [*window.hotwords, *tokenizer.sot_sequence, tokenizer.no_timestamps]
            limit = max(limit, _most_tokens(window))
            length = max(length, len(prompt))
            prompts.append([*prompt, *window.prefix])
        self.calls += 1
        written = self._model.generate(
            encoded,
            prompts,
            beam_size=self._beam_size,
            max_length=max(2 * limit, length + limit),  # CTranslate2 writes half of it, and counts the prompt
            return_scores=True,
            return_no_speech_prob=True,
        )
        texts = [
            self._believed(window, tokenizer, result)
            for window, tokenizer, result in zip(windows, tokenizers, written, strict=True)
        ]
        times = self._times(encoded, windows, [str(language) for language in languages], texts)
        return [
            Result(None if units is None else Decoded(units, time), str(language))
            for units, time, language in zip(texts, times, languages, strict=True)
        ]

    def _encoded(self, spectra: list[Any]) -> Any:
        if self.device == "cuda":
            return self._whisper.encode(np.stack(spectra))
        # A CPU gains nothing by encoding windows together, and the attention of a batch (72 MB a window and layer of
        # `base`) leaves its caches; writing text, which reads all weights for each token, gains.
        each = [np.asarray(self._whisper.encode(spectrum)) for spectrum in spectra]
        return ctranslate2.StorageView.from_array(np.concatenate(each))

    def _spectrum(self, window: Window) -> Any:
        samples = np.frombuffer(window.pcm16_16k, "<i2").astype(np.float32) / 32_768.0
        return pad_or_trim(self._whisper.feature_extractor(samples)[..., :-1])

    def _detected(self, encoded: Any) -> list[str]:
        if not self.detects_language:
            return [self.languages[0]] * encoded.shape[0]
        ranked = [[token[2:-2] for token, _ in each] for each in self._model.detect_language(encoded)]
        return [next(code for code in each if code in self._tokenizers) for each in ranked]

    def _believed(self, window: Window, tokenizer: Tokenizer, result: Any) -> tuple[Unit, ...] | None:
        # The call's limit is that of its longest window.
        tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot][: _most_tokens(window)]
        log_probability = result.scores[0] * len(tokens) / (len(tokens) + 1)
        if result.no_speech_prob > self._limits.no_speech and log_probability < self._limits.log_probability:
            tokens = list(window.prefix)
        if not tokens:
            return ()
        if get_compression_ratio(tokenizer.decode(tokens)) > self._limits.compression:
            return None
        return tuple(Unit(text, tuple(own)) for text, own in zip(*tokenizer.split_to_word_tokens(tokens), strict=True))

    def _times(
        self, encoded: Any, windows: Sequence[Window], languages: list[str], texts: list[tuple[Unit, ...] | None]
    ) -> list[tuple[Time, ...] | None]:
        """Find when each unit was said: one call for each language among the windows that ask for it."""
        wanted = [number for number, units in enumerate(texts) if units and windows[number].timed]
        times: list[tuple[Time, ...] | None] = [None if units else () for units in texts]
        for language in {languages[number] for number in wanted}:
            tokens = [
                list(Decoded(units or ()).tokens) if number in wanted and languages[number] == language else []
                for number, units in enumerate(texts)
            ]
            frames = [max(2, int(_seconds(window) * self._whisper.frames_per_second)) for window in windows]
            try:
                found = self._whisper.find_alignment(self._tokenizers[language], tokens, encoded, frames)
            except IndexError as error:  # faster-whisper's, where an alignment is shorter than its text
                LOGGER.warning("words go without their times: they could not be aligned", exc_info=error)
                continue
            for number in wanted:
                if languages[number] == language and len(found[number]) == len(texts[number] or ()):
                    times[number] = tuple(
                        Time(float(each["start"]), float(each["end"]), round(float(each["probability"]), 3))
                        for each in found[number]
                    )
        return times

    def _tokenizer(self, language: str) -> Tokenizer:
        multilingual = self._model.is_multilingual
        return Tokenizer(self._whisper.hf_tokenizer, multilingual, task="transcribe", language=language)


def check_folder(folder: Path) -> None:
    """ModelSetupError says how to get the weights where they are not there."""
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        name = folder.name or "faster-whisper-large-v3-turbo"
        raise ModelSetupError(
            f"Whisper's weights are not in '{folder}' ({', '.join(missing)} missing): "
            f"run `goassist models pull {name}`, or set model_path in the asr model's configuration"
        )


def checked_language(language: str, languages: Sequence[str]) -> str:
    """The code of a BCP 47 tag; InvalidInputError where the model does not know it."""
    code = language.replace("_", "-").split("-")[0].lower()
    if code not in languages:
        raise InvalidInputError(f"unknown language {language!r}; available: {', '.join(sorted(languages))}")
    return code


def _most_tokens(window: Window) -> int:
    spoken = int(_seconds(window) * TOKENS_PER_S)
    return min(MAX_TOKENS, TOKENS_AT_LEAST + max(spoken, len(window.prefix)))


def _seconds(window: Window) -> float:
    return len(window.pcm16_16k) / 2 / SAMPLE_RATE
