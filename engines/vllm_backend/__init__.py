"""Triton's vLLM backend for servers without NVIDIA's: the same tensors and 1/model.json over vllm.AsyncLLM."""
