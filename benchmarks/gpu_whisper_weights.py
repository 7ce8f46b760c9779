"""Whisper with random weights at full size, made without torch: `base`, and the shape of large-v3-turbo.

CTranslate2's own specification is filled with numbers, as tests/engines_heavy/tiny does, which makes `base`. Its
tokenizer and vocabulary have nearly as many words as the real ones, and serve both.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from ctranslate2.specs import WhisperSpec

from tests.engines_heavy.tiny import whisper as tiny

TURBO = (1_280, 20, 32, 4)
"""d_model, heads, layers of the encoder, of the decoder."""
TINY_TURBO = (64, 2, 2, 2)
TURBO_MELS = 128
FEATURES, VOCABULARY, CONFIG = "preprocessor_config.json", "vocabulary.json", "config.json"


def make_base(folder: Path, *, rehearsal: bool) -> Path:
    """The model `base`, or one that is as small as can be."""
    tiny.main(folder / "base", "tiny" if rehearsal else "base")
    return folder / "base"


def make_turbo(folder: Path, base: Path, *, rehearsal: bool) -> Path:
    """A model of large-v3-turbo's shape with the words of `base`, or a small one with as many mels."""
    width, heads, encoder_layers, decoder_layers = TINY_TURBO if rehearsal else TURBO
    vocabulary = json.loads((base / VOCABULARY).read_text())
    config = json.loads((base / CONFIG).read_text())
    spec = WhisperSpec(encoder_layers, heads, decoder_layers, heads)
    tiny.fill(spec, width, len(vocabulary), [vocabulary.index(each) for each in tiny.SPOKEN])
    # Every layer but the first is as wide for any number of mels.
    mels = np.random.default_rng(8).standard_normal((width, TURBO_MELS, 3)) / np.sqrt(TURBO_MELS * 3)
    spec.encoder.conv1.weight = mels.astype(np.float32)
    spec.register_vocabulary(vocabulary)
    for name in ("suppress_ids", "suppress_ids_begin", "lang_ids"):
        setattr(spec.config, name, config[name])
    spec.config.alignment_heads = [[decoder_layers - 1, head] for head in range(heads)]
    spec.validate()
    spec.optimize("int8" if rehearsal else "float16")
    target = folder / "turbo"
    target.mkdir()
    spec.save(str(target))
    shutil.copy(base / "tokenizer.json", target)
    features = json.loads((base / FEATURES).read_text())
    (target / FEATURES).write_text(json.dumps({**features, "feature_size": TURBO_MELS}))
    return target
