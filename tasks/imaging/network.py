"""Networks in ONNX files, which take a picture and give one: onnxruntime runs them, on all cores or a CUDA GPU."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog_schemas.errors import ModelError, first_line
from tasks.imaging.pixels import Floats

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class Network:
    """A network that takes pictures (1, 3, height, width); threads take turns, for it uses all that there is.

    `height` and `width` are those of the pictures it takes, None where they may have any. Raises ModelError.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._session = _session(path)
        given = self._session.get_inputs()
        if len(given) != 1 or len(given[0].shape) != 4 or given[0].type not in _DTYPES:
            found = ", ".join(f"{one.name} {one.shape} of {one.type}" for one in given)
            raise ModelError(
                f"{path}: expected a network that takes pictures (1, 3, height, width), but it takes {found}"
            )
        self._name, self._dtype = given[0].name, _DTYPES[given[0].type]
        self.height, self.width = (one if isinstance(one, int) else None for one in given[0].shape[2:])
        self._lock = threading.Lock()

    def __call__(self, picture: Floats) -> NDArray[np.float32]:
        """Its first answer to a picture (height, width, 3). Raises ModelError."""
        batch = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=self._dtype)
        try:
            with self._lock:
                return np.asarray(self._session.run(None, {self._name: batch})[0], dtype=np.float32)
        except Exception as error:  # onnxruntime's own have no root in common
            raise ModelError(f"{self.path}: the network failed on a picture: {first_line(error)}") from error


def _session(path: str) -> Any:
    import onnxruntime  # for who names a network

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of every constant that it folds
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # training may need the cores
    offered = onnxruntime.get_available_providers()
    chosen = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in offered]
    try:
        return onnxruntime.InferenceSession(Path(path), options, providers=chosen)
    except Exception as error:  # onnxruntime's own have no root in common
        raise ModelError(f"{path}: expected a network in an ONNX file, but {first_line(error)}") from error
