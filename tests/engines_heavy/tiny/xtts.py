"""Make an XTTS-v2 of random weights, 2 layers of 64 channels: `python xtts.py FOLDER`.

Runs in the XTTS environment. The folder then loads like the hub's coqui/XTTS-v2: config.json, model.pth, vocab.json,
speakers_xtts.pth; beside it are two recordings to make voices of, in `voices/`.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
from TTS.tts.models import xtts

CHARACTERS = " abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"-éèàñüöä"
TOKENS = ["[STOP]", "[UNK]", "[SPACE]", "[START]", "[en]", "[es]", "[fr]", "[de]"]


def write_vocabulary(path: Path) -> None:
    """A character-level tokenizer of the original's kind: special tokens for languages and spaces."""
    vocabulary = {token: number for number, token in enumerate([*TOKENS, *CHARACTERS])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="[UNK]"))
    tokenizer.add_special_tokens(TOKENS)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path))


def configuration() -> XttsConfig:
    """The original's shape with few and narrow layers."""
    arguments = XttsArgs(
        gpt_layers=2,
        gpt_n_model_channels=64,
        gpt_n_heads=2,
        gpt_num_audio_tokens=66,
        gpt_start_audio_token=64,
        gpt_stop_audio_token=65,
        gpt_max_audio_tokens=120,
        gpt_use_perceiver_resampler=True,
        decoder_input_dim=64,
    )
    return XttsConfig(model_args=arguments, languages=["en", "es", "fr", "de"], temperature=0.75)


def full_configuration() -> XttsConfig:
    """The shape of the original."""
    arguments = XttsArgs(
        gpt_num_audio_tokens=1026,
        gpt_start_audio_token=1024,
        gpt_stop_audio_token=1025,
        gpt_use_perceiver_resampler=True,
    )
    return XttsConfig(model_args=arguments, languages=["en", "es", "fr", "de"], temperature=0.75)


def write_recording(path: Path, pitch_hz: float, sample_rate: int) -> None:
    """Three seconds of a harmonic sound that comes and goes: enough for the model to take latents of."""
    time_s = np.arange(3 * sample_rate) / sample_rate
    wave = sum(np.sin(2 * np.pi * pitch_hz * harmonic * time_s) / harmonic for harmonic in (1, 2, 3, 5))
    soundfile.write(path, 0.3 * wave * (0.6 + 0.4 * np.sin(2 * np.pi * 2.5 * time_s)), sample_rate)


def main(folder: Path, config: XttsConfig) -> None:
    """Write the checkpoint; its weights depend on nothing but the shape and the seed."""
    torch.manual_seed(7)
    (folder / "voices").mkdir(parents=True, exist_ok=True)
    write_vocabulary(folder / "vocab.json")
    config.model_args.tokenizer_file = str(folder / "vocab.json")
    model = xtts.Xtts(config)
    model.tokenizer = xtts.VoiceBpeTokenizer(vocab_file=str(folder / "vocab.json"))
    model.init_models()
    config.model_args.tokenizer_file = ""
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    config.save_json(str(folder / "config.json"))
    speaker = {
        "gpt_cond_latent": torch.randn(1, 32, config.model_args.gpt_n_model_channels),
        "speaker_embedding": torch.nn.functional.normalize(torch.randn(1, config.model_args.d_vector_dim, 1), dim=1),
    }
    torch.save({"Built In": speaker}, folder / "speakers_xtts.pth")
    write_recording(folder / "voices" / "low.wav", 110.0, 22_050)
    write_recording(folder / "voices" / "high.wav", 220.0, 44_100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), configuration())
