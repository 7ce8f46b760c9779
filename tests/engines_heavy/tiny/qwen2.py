"""Make a Qwen2 of half a million random weights, with a tokenizer of its own: `python qwen2.py FOLDER`.

Runs in the vLLM environment. The folder then loads like any checkpoint from the hub: config.json, model.safetensors,
tokenizer.json, tokenizer_config.json with a chat template, generation_config.json.
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CORPUS = [
    "The quick brown fox jumps over the lazy dog while the agent listens, thinks and speaks.",
    "Hello! How can I help you today? I would like to know the weather, please.",
    "A voice agent hears a person, understands the words and answers in a sentence or two.",
    "system user assistant one two three four five six seven eight nine ten",
]


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, as Qwen2's is: any text can be encoded, and decoding gives it back."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    bpe.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHAT_TEMPLATE
    )


def main(folder: Path) -> None:
    """Write the checkpoint; its weights depend on nothing but the seed."""
    torch.manual_seed(7)
    words = tokenizer()
    config = Qwen2Config(
        vocab_size=len(words),
        hidden_size=128,  # two heads of 64: the smallest that every attention kernel of vLLM's takes
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        tie_word_embeddings=False,
        bos_token_id=words.convert_tokens_to_ids("<|endoftext|>"),
        eos_token_id=words.convert_tokens_to_ids("<|im_end|>"),
    )
    model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    model.generation_config.eos_token_id = config.eos_token_id
    model.save_pretrained(folder)
    words.save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
