"""The language model by vLLM, where the server does not carry NVIDIA's backend for it (configs/cpu.pbtxt)."""

from engines.vllm_backend.model import TritonPythonModel

__all__ = ["TritonPythonModel"]
