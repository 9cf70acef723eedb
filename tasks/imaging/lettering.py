"""Reads what is written in a picture: finds lines of text and reads them by PP-OCR's networks (Du et al. 2020,
arXiv:2009.09941), which RapidOCR brings and runs. It is an extra: pip install 'packshot[ocr]'."""

from typing import Any

import numpy as np

from tasks.imaging.pixels import Mask, Rgb

_SURE = 0.7  # of 1: what is read with less is mostly a pattern, or letters that are none
_idle: list[Any] = []  # readers, each for one thread at a time


def lines_in(rgb: Rgb, mask: Mask | None = None) -> list[str]:
    """The lines of text that can be read in a picture (height, width, 3), with a mask those whose middle it covers.

    Latin and Chinese script, one line after another as they were found.
    """
    try:
        reader = _idle.pop()
    except IndexError:
        reader = _reader()
    found = reader(np.ascontiguousarray(rgb[..., ::-1]))
    _idle.append(reader)
    if found.boxes is None:
        return []
    read = zip(found.boxes.mean(axis=1), found.txts, found.scores, strict=True)
    return [text for middle, text, score in read if score >= _SURE and (mask is None or _covers(mask, middle))]


def _covers(mask: Mask, middle: Any) -> bool:
    height, width = mask.shape
    column, row = np.clip(middle, 0, (width - 1, height - 1)).astype(int)
    return bool(mask[row, column] > 0.5)


def _reader() -> Any:
    from rapidocr import RapidOCR  # for who asks what is written

    one_thread = {"EngineConfig.onnxruntime.intra_op_num_threads": 1}  # more of them wait busily for one another
    return RapidOCR(params={"Global.log_level": "critical", **one_thread})
