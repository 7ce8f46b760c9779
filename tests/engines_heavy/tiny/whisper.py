"""Make a Whisper of random weights for CTranslate2: `python whisper.py FOLDER [base]`.

Runs in the whisper environment and needs no torch: CTranslate2's own specification is filled with numbers. The folder
then loads like the hub's Systran/faster-whisper-base.en. Such a model writes letters and spaces without end. Which ones
depends little on the sound, so that hypotheses of a growing sound agree. Beside it, in `multilingual/`, is one that
knows two languages.
"""

import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SHAPES = {"tiny": (64, 2, 2, 0), "multilingual": (64, 2, 2, 1), "base": (512, 8, 6, 50_000)}
"""d_model, heads, layers of the encoder and of the decoder, and tokens that are never written."""
MELS, FRAMES, POSITIONS = 80, 1_500, 448
LANGUAGES = ("en", "de")
SPECIAL = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{language}|>" for language in LANGUAGES),
    *("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
]
TIMESTAMPS = [f"<|{0.02 * number:.2f}|>" for number in range(1_501)]
SPOKEN = "abcdefghijklmnopqrstuvwxyzĠ"  # Ġ is the space

Numbers = Any


def main(folder: Path, shape: str) -> None:
    """Write the model; its numbers depend on nothing but the shape."""
    width, heads, layers, unused = SHAPES[shape]
    folder.mkdir(parents=True, exist_ok=True)
    characters = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(f"<unused {number}>" for number in range(unused))]
    tokenizer = Tokenizer(models.BPE({each: number for number, each in enumerate(characters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken(each, normalized=False) for each in TIMESTAMPS])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": MELS, "chunk_length": 30}))

    spec = WhisperSpec(layers, heads, layers, heads)
    ids = tokenizer.get_vocab()
    fill(spec, width, len(ids), [ids[each] for each in SPOKEN])
    vocabulary = [*characters, *SPECIAL, *TIMESTAMPS]
    if shape == "multilingual":  # CTranslate2 takes a model for one by its empty token
        vocabulary[ids["<unused 0>"]] = ""
    spec.register_vocabulary(vocabulary)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [ids["Ġ"], ids["<|endoftext|>"]]
    spec.config.lang_ids = [ids[f"<|{language}|>"] for language in LANGUAGES]
    spec.config.alignment_heads = [list(pair) for pair in product(range(layers // 2, layers), range(heads))]
    spec.validate()
    spec.optimize("int8")
    spec.save(str(folder))


def fill(spec: WhisperSpec, width: int, words: int, spoken: list[int]) -> None:
    """Give every layer its random weights."""
    random = np.random.default_rng(7)

    def weights(*shape: int, scale: float = 1.0) -> Numbers:
        return (random.standard_normal(shape) * scale / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    def linear(layer: Any, outputs: int, inputs: int, scale: float = 1.0) -> None:
        layer.weight, layer.bias = weights(outputs, inputs, scale=scale), np.zeros(outputs, np.float32)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def block(layer: Any) -> None:
        norm(layer.self_attention.layer_norm)
        linear(layer.self_attention.linear[0], 3 * width, width)
        linear(layer.self_attention.linear[1], width, width)
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, 4 * width, width)
        linear(layer.ffn.linear_1, width, 4 * width)

    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight, encoder.conv1.bias = weights(width, MELS, 3), np.zeros(width, np.float32)
    encoder.conv2.weight, encoder.conv2.bias = weights(width, width, 3), np.zeros(width, np.float32)
    encoder.position_encodings.encodings = weights(FRAMES, width)
    for layer in encoder.layer:
        block(layer)
    for layer in decoder.layer:
        block(layer)
        norm(layer.attention.layer_norm)
        linear(layer.attention.linear[0], width, width)
        linear(layer.attention.linear[1], 2 * width, width)
        linear(layer.attention.linear[2], width, width, scale=0.1)  # how much the sound says
    norm(encoder.layer_norm)
    norm(decoder.layer_norm)
    decoder.position_encodings.encodings = weights(POSITIONS, width, scale=8.0)
    decoder.embeddings.weight = weights(words, width)
    decoder.projection.weight = np.zeros((words, width), np.float32)
    decoder.projection.weight[spoken] = weights(len(spoken), width, scale=4.0)


if __name__ == "__main__":
    if sys.argv[2:]:
        main(Path(sys.argv[1]), sys.argv[2])
    else:
        main(Path(sys.argv[1]), "tiny")
        main(Path(sys.argv[1]) / "multilingual", "multilingual")
