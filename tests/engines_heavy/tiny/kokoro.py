"""Make a stand-in for Kokoro's weights, with its inputs, output and files: `python kokoro.py FOLDER`.

Runs in the Kokoro environment. The folder is laid out as the hub's onnx-community/Kokoro-82M-v1.0-ONNX. The model makes
a tone: 1/40 s for each symbol, divided by the speed, as high as the first number of the style says, between silences
of a quarter of a second. `onnx/slow.onnx` multiplies matrices for many seconds before that.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLE_RATE = 24_000
SAMPLES_PER_SYMBOL = 600
PITCHES_HZ = {"af_heart": 220.0, "am_adam": 110.0, "bf_emma": 330.0, "ff_siwis": 440.0, "jf_alpha": 550.0}
SYMBOLS = (
    '$;:,.!?—…"()“” \u0303ʣʥʦʨᵝꭧAIOQSTWYᵊabcdefhijklmnopqrstuvwxyzɑɐɒæβɔɕçɖðʤəɚɛɜɟɡɥɨɪʝɯɰŋ'  # noqa: RUF001
    "ɳɲɴøɸθœɹɾɻʁɽʂʃʈʧʊʋʌɣɤχʎʒʔˈˌːʰʲ↓→↗↘ᵻ"
)


def constant(name: str, value: object, dtype: type) -> onnx.TensorProto:
    """A number of the graph."""
    return numpy_helper.from_array(np.array(value, dtype), name)


def tone() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The graph from input_ids [1, n], style [1, 256] and speed [1] to waveform [1, samples]."""
    nodes = [
        helper.make_node("Size", ["input_ids"], ["count"]),
        helper.make_node("Cast", ["count"], ["count_f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["count_f", "per_symbol"], ["plain_length"]),
        helper.make_node("Div", ["plain_length", "speed"], ["length_f"]),
        helper.make_node("Cast", ["length_f"], ["length_1"], to=TensorProto.INT64),
        helper.make_node("Squeeze", ["length_1"], ["length"]),
        helper.make_node("Range", ["zero", "length", "one"], ["index"]),
        helper.make_node("Cast", ["index"], ["index_f"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["style", "first", "second", "axis"], ["pitch_11"]),
        helper.make_node("Squeeze", ["pitch_11"], ["pitch"]),
        helper.make_node("Mul", ["pitch", "radians"], ["step"]),
        helper.make_node("Mul", ["index_f", "step"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["wave"]),
        helper.make_node("Mul", ["wave", "loudness"], ["sound"]),
        helper.make_node("Concat", ["silence", "sound", "silence"], ["whole"], axis=0),
        helper.make_node("Unsqueeze", ["whole", "batch"], ["waveform"]),
    ]
    constants = [
        constant("per_symbol", SAMPLES_PER_SYMBOL, np.float32),
        constant("zero", 0, np.int64),
        constant("one", 1, np.int64),
        constant("first", [0], np.int64),
        constant("second", [1], np.int64),
        constant("axis", [1], np.int64),
        constant("radians", 2 * np.pi / SAMPLE_RATE, np.float32),
        constant("loudness", 0.3, np.float32),
        constant("silence", np.zeros(SAMPLE_RATE // 4), np.float32),
        constant("batch", [0], np.int64),
    ]
    return nodes, constants


def work() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """A loop that computes for many seconds and whose result the loudness then depends on."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["matrix_in", "turn"], ["matrix_out"]),
            helper.make_node("Identity", ["go_in"], ["go_out"]),
        ],
        "multiply",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("matrix_in", TensorProto.FLOAT, [1_000, 1_000]),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("matrix_out", TensorProto.FLOAT, [1_000, 1_000]),
        ],
        [numpy_helper.from_array(np.eye(1_000, dtype=np.float32)[::-1].copy(), "turn")],
    )
    nodes = [
        helper.make_node("Expand", ["speed", "shape"], ["matrix"]),
        helper.make_node("Loop", ["rounds", "go", "matrix"], ["product"], body=body),
        helper.make_node("ReduceMin", ["product"], ["least"], keepdims=0),
        helper.make_node("Mul", ["least", "tenth"], ["loudness"]),
    ]
    constants = [
        constant("shape", [1_000, 1_000], np.int64),
        constant("rounds", 1_000, np.int64),
        constant("go", True, np.bool_),
        constant("tenth", 0.1, np.float32),
    ]
    return nodes, constants


def save(path: Path, *, slow: bool) -> None:
    """Write one model."""
    nodes, constants = tone()
    if slow:
        more_nodes, more_constants = work()
        nodes = more_nodes + nodes
        constants = more_constants + [one for one in constants if one.name != "loudness"]
    graph = helper.make_graph(
        nodes,
        "kokoro",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "symbols"]),
            helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
            helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, [1, "samples"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main(folder: Path) -> None:
    """Write the folder."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    (folder / "voices").mkdir(exist_ok=True)
    save(folder / "onnx" / "model.onnx", slow=False)
    save(folder / "onnx" / "slow.onnx", slow=True)
    table = {"model": {"vocab": {symbol: number for number, symbol in enumerate(SYMBOLS)}}}
    (folder / "tokenizer.json").write_text(json.dumps(table), "utf-8")
    for name, pitch_hz in PITCHES_HZ.items():
        styles = np.zeros((510, 1, 256), np.float32)
        styles[:, 0, 0] = pitch_hz
        styles.tofile(folder / "voices" / f"{name}.bin")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
