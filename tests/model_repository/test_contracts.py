"""Every config.pbtxt of every profile, held against the public contract, the model's code and the clients.

Other people's Triton clients depend on names, types and shapes: a change here is a change of the public interface.
"""

import ast
import json
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInput, ModelOutput, ModelSequenceBatching

from orchestrator.core.context import CONTEXT_TOKENS
from orchestrator.core.history import Message
from orchestrator.triton.asr import TritonAsr
from orchestrator.triton.client import TritonClient
from orchestrator.triton.llm import TritonLlm
from orchestrator.triton.prompt import ChatTemplate
from orchestrator.triton.tts import TritonTts
from tests.servers.recording_triton import TEXT, datatype, run_recording_triton

ROOT = Path(__file__).parents[2]
REPOSITORY = ROOT / "model_repository"


@dataclass(frozen=True)
class Contract:
    """Inputs and outputs as 'name TYPE dims'; optional inputs end with '?'."""

    inputs: set[str]
    outputs: set[str]
    sequence: bool = False
    min_batch: int = 0
    max_batch: int = 0


CONTRACTS = {
    "asr": Contract(
        inputs={"audio INT16 -1", "language BYTES 1?", "hotwords BYTES 1?", "flush BOOL 1?"},
        outputs={"transcript BYTES 1", "stable_chars INT32 1", "is_final BOOL 1", "words BYTES 1"},
        sequence=True,
        min_batch=64,
        max_batch=1024,
    ),
    "llm": Contract(  # of Triton's vLLM backend
        inputs={
            "text_input BYTES 1",
            "stream BOOL 1?",
            "sampling_parameters BYTES 1?",
            "exclude_input_in_output BOOL 1?",
            "return_finish_reason BOOL 1?",
            "return_num_input_tokens BOOL 1?",
            "return_num_output_tokens BOOL 1?",
        },
        outputs={
            "text_output BYTES -1",
            "finish_reason BYTES -1",
            "num_input_tokens UINT32 1",
            "num_output_tokens UINT32 -1",
        },
    ),
    "tts": Contract(
        inputs={"text BYTES 1", "voice BYTES 1?", "language BYTES 1?", "speed FP32 1?"},
        outputs={"audio INT16 -1", "sample_rate INT32 1"},
    ),
    "speech_to_speech": Contract(
        inputs={"audio INT16 -1", "messages BYTES 1?", "instructions BYTES 1?", "voice BYTES 1?"},
        outputs={"event BYTES 1", "audio INT16 -1", "sample_rate INT32 1"},
    ),
    "turn": Contract(inputs={"audio INT16 -1"}, outputs={"probability FP32 1"}, min_batch=1, max_batch=64),
}
CONFIGS = sorted(
    path for folder in REPOSITORY.iterdir() for path in (folder / "config.pbtxt", *folder.glob("configs/*.pbtxt"))
)


def config_id(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


each_config = pytest.mark.parametrize("path", CONFIGS, ids=config_id)
each_model = pytest.mark.parametrize("folder", sorted(REPOSITORY.iterdir()), ids=lambda folder: folder.name)


def load(path: Path) -> ModelConfig:
    """Parse a config; a field that Triton does not know is an error."""
    return text_format.Parse(path.read_text(encoding="utf-8"), ModelConfig())


each_python_config = pytest.mark.parametrize(
    "path", [path for path in CONFIGS if load(path).backend == "python"], ids=config_id
)


def model_folder(path: Path) -> Path:
    return path.parent.parent if path.parent.name == "configs" else path.parent


def described(tensor: ModelInput | ModelOutput) -> str:
    optional = "?" if isinstance(tensor, ModelInput) and tensor.optional else ""
    return f"{tensor.name} {datatype(tensor.data_type)} {','.join(map(str, tensor.dims))}{optional}"


def python_file(path: Path) -> Path:
    return model_folder(path) / "1" / (load(path).default_model_filename or "model.py")


def test_the_models_of_a_conversation_are_there() -> None:
    there = {folder.name for folder in REPOSITORY.iterdir()}
    assert {"asr", "llm", "tts", "speech_to_speech"} <= there <= set(CONTRACTS)


@each_model
def test_one_machine_without_downloads_can_serve_every_model(folder: Path) -> None:
    embedded = folder / "configs" / "embedded.pbtxt"
    config = load(embedded if embedded.is_file() else folder / "config.pbtxt")
    assert config.backend == "python"


@each_python_config
def test_a_python_model_is_one_process_however_many_gpus_there_are(path: Path) -> None:
    # Of KIND_GPU Triton starts `count` on each GPU: all would load their engine onto the same GPU and split its work.
    (group,) = load(path).instance_group
    assert (group.kind, group.count) == (group.KIND_CPU, 1)


@each_config
def test_a_config_has_the_names_types_and_shapes_of_its_contract(path: Path) -> None:
    config, contract = load(path), CONTRACTS[model_folder(path).name]
    assert config.name == model_folder(path).name
    assert config.model_transaction_policy.decoupled
    assert {described(tensor) for tensor in config.input} == contract.inputs
    assert {described(tensor) for tensor in config.output} == contract.outputs
    assert contract.min_batch <= config.max_batch_size <= contract.max_batch


@each_config
def test_sequences_have_start_end_and_a_numeric_id(path: Path) -> None:
    config, contract = load(path), CONTRACTS[model_folder(path).name]
    assert config.HasField("sequence_batching") == contract.sequence
    if contract.sequence:
        kinds = ModelSequenceBatching.Control
        controls = {
            control.kind: datatype(control.data_type)
            for each in config.sequence_batching.control_input
            for control in each.control
        }
        assert {kinds.CONTROL_SEQUENCE_START, kinds.CONTROL_SEQUENCE_END} <= set(controls)
        assert controls[kinds.CONTROL_SEQUENCE_CORRID] == "UINT64"
        assert config.sequence_batching.HasField("oldest")


@each_config
def test_batched_sound_may_have_any_length_in_one_batch(path: Path) -> None:
    config = load(path)
    ragged = [tensor.allow_ragged_batch for tensor in config.input if tensor.name == "audio"]
    assert all(ragged) or not config.max_batch_size


@each_config
def test_what_a_config_names_is_in_its_version_folder(path: Path) -> None:
    config = load(path)
    if config.backend == "vllm" or "engine_arguments" in config.parameters:
        file = config.parameters["engine_arguments"].string_value or "model.json"
        arguments = json.loads((model_folder(path) / "1" / file).read_text(encoding="utf-8"))
        assert arguments["max_model_len"] == CONTEXT_TOKENS
        assert arguments["enable_prefix_caching"] is True
        assert arguments["model"]
    if config.backend == "vllm":
        return
    assert config.backend == "python"
    classes = [node for tree in sources(python_file(path)) for node in tree.body if isinstance(node, ast.ClassDef)]
    (model,) = [node for node in classes if node.name == "TritonPythonModel"]
    methods = {node.name for node in model.body if isinstance(node, ast.FunctionDef)}
    assert {"initialize", "execute"} <= methods


def sources(file: Path) -> Iterator[ast.Module]:
    """The model's file, and the modules of engines/ that it imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "engines":
            parts = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            for part in dict.fromkeys(parts):
                module = ROOT / f"{part.replace('.', '/')}.py"
                if module.is_file() and module.stem != "serving":
                    yield ast.parse(module.read_text(encoding="utf-8"))


def pattern(node: ast.expr) -> str | None:
    """A string constant as a regular expression; the parts of an f-string that are computed match anything."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(re.escape(str(v.value)) if isinstance(v, ast.Constant) else r"\w+" for v in node.values)
    return None


@each_python_config
def test_the_models_code_reads_and_writes_the_tensors_of_its_config(path: Path) -> None:
    config = load(path)
    read, written = set(), set()
    for tree in sources(python_file(path)):
        for node in ast.walk(tree):
            reads = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
            if reads and node.func.attr in ("text", "flag", "number", "samples", "has"):  # of engines.serving.Request
                if isinstance(node.func.value, ast.Name) and node.func.value.id == "request":
                    read.add(pattern(node.args[0]))
            elif isinstance(node, ast.Dict):
                written |= {pattern(key) for key in node.keys if key is not None}
            elif isinstance(node, ast.Subscript):
                written.add(pattern(node.slice))
    read, written = read - {None}, written - {None}
    for tensor in config.input:
        assert any(re.fullmatch(each, tensor.name) for each in read), f"{tensor.name} is never read"
    for tensor in config.output:
        assert any(re.fullmatch(each, tensor.name) for each in written), f"{tensor.name} is never written"
    for each in read:
        assert any(re.fullmatch(each, tensor.name) for tensor in config.input), f"{each} is not in the config"


async def ask_llm(client: TritonClient) -> None:
    generation = TritonLlm(client, ChatTemplate()).generate([Message("user", "hi")], max_tokens=5, temperature=0)
    assert [delta async for delta in generation] == [TEXT.decode()]
    assert (generation.input_tokens, generation.output_tokens, generation.finish_reason) == (1, 1, TEXT.decode())


async def ask_tts(client: TritonClient) -> None:
    async with aclosing(TritonTts(client).synthesize("hi", voice="slt", language="en", speed=1.5)) as chunks:
        (chunk,) = [chunk async for chunk in chunks]
    assert (chunk.pcm16, chunk.sample_rate) == (b"\x01\x00", 1)


async def ask_asr(client: TritonClient) -> None:
    heard: list[str] = []
    utterance = TritonAsr(client).utterance(
        on_partial=lambda transcript: heard.append(transcript.text), language="en", hotwords="GoAssist"
    )
    async with utterance:
        utterance.send(bytes(16_000))
        flushed = await utterance.flush()
        final = await utterance.finish()
    for transcript in (flushed, final):
        assert (transcript.text, transcript.stable_chars, transcript.is_final) == (TEXT.decode(), 1, True)
        assert transcript.words == ()


ASKS = {"llm": ask_llm, "tts": ask_tts, "asr": ask_asr}


@pytest.mark.parametrize("path", [path for path in CONFIGS if model_folder(path).name in ASKS], ids=config_id)
async def test_the_client_sends_and_understands_the_tensors_of_every_config(path: Path) -> None:
    config = load(path)
    ask: Callable[[TritonClient], Coroutine[None, None, None]] = ASKS[config.name]
    async with run_recording_triton(config) as triton:
        client = TritonClient(triton.url)
        await ask(client)
        await client.close()
    declared = {tensor.name: tensor for tensor in config.input}
    required = {tensor.name for tensor in config.input if not tensor.optional}
    batch = [1] if config.max_batch_size else []
    assert triton.requests
    for request in triton.requests:
        assert request.model_name == config.name
        sent = {tensor.name: tensor for tensor in request.inputs}
        assert required <= set(sent) <= set(declared)
        for name, tensor in sent.items():
            assert tensor.datatype == datatype(declared[name].data_type)
            shape = [*batch, *declared[name].dims]
            assert len(tensor.shape) == len(shape)
            assert all(want in (-1, got) for want, got in zip(shape, tensor.shape, strict=True))
    assert {name for request in triton.requests for name in (tensor.name for tensor in request.inputs)} == set(declared)
