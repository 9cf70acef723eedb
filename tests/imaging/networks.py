"""Small networks in ONNX files: pictures (1, 3, height, width) in, masks or larger pictures out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save_model

Size = Sequence[int | str]
ANY: Size = (1, 3, "height", "width")
_KINDS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


def colourful(
    path: Path, size: Size = ANY, *, logits: bool = False, kind: str = "float32", steepness: float = 60.0
) -> Path:
    """Finds what is neither white, grey nor black: the difference of the channels, of 0 to 1, above 0.25."""
    nodes = [
        helper.make_node("ReduceMax", ["picture", "axis"], ["most"], keepdims=1),
        helper.make_node("ReduceMin", ["picture", "axis"], ["least"], keepdims=1),
        helper.make_node("Sub", ["most", "least"], ["colour"]),
        helper.make_node("Sub", ["colour", "threshold"], ["above"]),
        helper.make_node("Mul", ["above", "steepness"], ["logits"]),
        *([] if logits else [helper.make_node("Sigmoid", ["logits"], ["mask"])]),
    ]
    constants = {"threshold": 0.25, "steepness": steepness}
    return write_network(path, nodes, constants, size, "logits" if logits else "mask", kind)


def enlarging(
    path: Path, factor: int, size: Size = ANY, *, reach: int = 0, gain: float = 1.0, kind: str = "float32"
) -> Path:
    """Makes a square of each pixel: of the mean of those up to `reach` away, times `gain`."""
    mean = {"kernel_shape": [2 * reach + 1] * 2, "pads": [reach] * 4, "count_include_pad": 1}
    nodes = [
        helper.make_node("AveragePool", ["picture"], ["mean"], **mean),
        helper.make_node("Mul", ["mean", "gain"], ["bright"]),
        helper.make_node(
            "Resize",
            ["bright", "", "scales"],
            ["large"],
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        ),
    ]
    scales = np.array([1, 1, factor, factor], np.float32)
    return write_network(path, nodes, {"gain": gain, "scales": scales}, size, "large", kind)


def write_network(
    path: Path, nodes: list, constants: dict[str, Any], size: Size, output: str, kind: str = "float32"
) -> Path:
    """The network of these nodes, from `picture` to `output`; `axis` is that of the channels."""
    constants = {"axis": [1], **constants}
    arrays = {
        name: value
        if isinstance(value, np.ndarray)
        else np.array(value, kind if isinstance(value, float) else np.int64)
        for name, value in constants.items()
    }
    given = helper.make_tensor_value_info("picture", _KINDS[kind], size)
    answer = helper.make_tensor_value_info(output, _KINDS[kind], None)
    graph = helper.make_graph(
        nodes, "network", [given], [answer], [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    )
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path
