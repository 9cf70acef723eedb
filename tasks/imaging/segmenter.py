"""Find the product in a photo by a network that has learned to: an ONNX file of IS-Net, U²-Net, BiRefNet or the like.

Such networks take a picture of one size and give, for each of its pixels, how surely it belongs to what the picture is
of: Qin et al. 2020 (arXiv:2005.09007), Qin et al. 2022 (arXiv:2203.03041), Zheng et al. 2024 (arXiv:2401.03407).
"""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from catalog_schemas.errors import ModelError, first_line
from tasks.imaging.pixels import Mask, Rgb, scale_mask, scale_rgb

Colour = tuple[float, float, float]

_SIDE = 1024  # pixels, for a network that takes any size
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_loaded: dict[tuple[str, Colour, Colour], "Segmenter"] = {}
_loading = threading.Lock()


class Segmenter:
    """The network; threads take turns, for it uses all cores, or the GPU that the installed onnxruntime can use.

    Pixels in 0 to 1 are given to it less `mean` and divided by `std`, each red, green and blue.
    """

    def __init__(self, path: str, mean: Colour, std: Colour) -> None:
        self._path = path
        self._mean, self._std = np.array(mean, np.float32), np.array(std, np.float32)
        self._session = _session(path)
        given = self._session.get_inputs()
        if len(given) != 1 or len(given[0].shape) != 4 or given[0].type not in _DTYPES:
            found = ", ".join(f"{one.name} {one.shape} of {one.type}" for one in given)
            raise ModelError(
                f"{path}: expected a network that takes pictures (1, 3, height, width), but it takes {found}"
            )
        self._name, self._dtype = given[0].name, _DTYPES[given[0].type]
        self._height, self._width = (one if isinstance(one, int) else _SIDE for one in given[0].shape[2:])
        self._lock = threading.Lock()

    def __call__(self, rgb: Rgb) -> Mask:
        """How surely each pixel of `rgb` belongs to the product, 0 to 1. Raises ModelError."""
        picture = scale_rgb(rgb, self._width, self._height).astype(np.float32) / np.float32(255.0)
        picture = (picture - self._mean) / self._std
        batch = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=self._dtype)
        try:
            with self._lock:
                answer = np.asarray(self._session.run(None, {self._name: batch})[0], dtype=np.float32)
        except Exception as error:  # onnxruntime's own have no root in common
            raise ModelError(f"{self._path}: the network failed on a picture: {first_line(error)}") from error
        if answer.ndim != 4 or answer.shape[:2] != (1, 1):
            raise ModelError(f"{self._path}: expected a mask (1, 1, height, width), but it gives {answer.shape}")
        height, width = rgb.shape[:2]
        return scale_mask(_probabilities(np.nan_to_num(answer[0, 0])), width, height)


def load_segmenter(path: str, mean: Colour, std: Colour) -> Segmenter:
    """The network in a local file, loaded once per process. Raises ModelError."""
    key = path, mean, std
    with _loading:
        if key not in _loaded:
            _loaded[key] = Segmenter(path, mean, std)
        return _loaded[key]


def needs_onnxruntime() -> Any:
    """The package that runs the network; ModelError where it is not installed."""
    try:
        import onnxruntime  # an extra: only who names a network needs it
    except ImportError as error:
        raise ModelError(
            f"model.segmenter needs onnxruntime, which cannot be imported ({first_line(error)}): "
            "pip install 'packshot[segmenter]'"
        ) from error
    return onnxruntime


def _session(path: str) -> Any:
    onnxruntime = needs_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of every constant that it folds
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # training may need the cores
    offered = onnxruntime.get_available_providers()
    chosen = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in offered]
    try:
        return onnxruntime.InferenceSession(Path(path), options, providers=chosen)
    except Exception as error:  # onnxruntime's own have no root in common
        raise ModelError(f"{path}: expected a network in an ONNX file, but {first_line(error)}") from error


def _probabilities(answer: Mask) -> Mask:
    """The answer itself, or where it is logits, which leave 0 to 1 on any picture, their logistic function."""
    if answer.min() >= -1e-3 and answer.max() <= 1 + 1e-3:
        return np.clip(answer, 0.0, 1.0)
    return np.asarray(1 / (1 + np.exp(-np.clip(answer, -60.0, 60.0))), dtype=np.float32)
