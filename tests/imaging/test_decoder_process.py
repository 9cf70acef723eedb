"""Decoding apart gives what decoding here gives, and a photo that kills its decoder costs itself alone."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason
from tasks.imaging import decoder_process
from tasks.imaging.decode import decode
from tasks.imaging.decoder_process import decode_apart
from tests.imaging.pictures import encoded, gradient

PHOTO = encoded(Image.fromarray(gradient()), "PNG")
WIDE = 30_000_000


def test_pixels_transparency_and_verdicts_come_back_as_they_are() -> None:
    clear = Image.fromarray(gradient())
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    for data in (PHOTO, encoded(clear, "PNG"), encoded(clear, "WEBP"), encoded(clear, "HEIF"), encoded(clear, "AVIF")):
        here, apart = decode(data, 10**6), decode_apart(data, 10**6)
        assert (apart.rgb == here.rgb).all()
        assert (apart.alpha is None) == (here.alpha is None)
        assert here.alpha is None or (apart.alpha == here.alpha).all()
    for data, maximum in ((b"<html>", 10**6), (PHOTO, 10), (PHOTO[:50], 10**6), (b"", 10**6)):
        with pytest.raises(Rejected) as here_caught:
            decode(data, maximum)
        with pytest.raises(Rejected) as apart_caught:
            decode_apart(data, maximum)
        assert (apart_caught.value.reason, apart_caught.value.detail) == (
            here_caught.value.reason,
            here_caught.value.detail,
        )


def stopped(data: bytes, **limits: float) -> None:
    with pytest.raises(Rejected, match="its decoder was stopped") as caught:
        decode_apart(data, WIDE * 4, **limits)
    assert caught.value.reason == Reason.REFERENCE_UNREADABLE
    assert (decode_apart(PHOTO, 10**6).rgb == gradient()).all(), "the next photo is decoded"


def test_a_photo_beyond_the_clock_is_a_verdict() -> None:
    slow = encoded(Image.fromarray(np.zeros((3000, 3000, 3), np.uint8)), "PNG", compress_level=1)
    began = time.monotonic()
    stopped(slow, seconds=0.0)
    assert time.monotonic() - began < 20


def test_a_photo_beyond_the_memory_is_a_verdict() -> None:
    stopped(encoded(Image.new("RGB", (6000, 5000)), "PNG", compress_level=1), memory=400 << 20)


def test_a_decoder_that_was_killed_meanwhile_costs_nothing() -> None:
    decode_apart(PHOTO, 10**6)
    (idle,) = decoder_process._idle[-1:]
    os.kill(idle.child.pid, 9)
    assert (decode_apart(PHOTO, 10**6).rgb == gradient()).all()


def test_a_decoder_knows_no_secret(monkeypatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-0451")
    decoder_process._idle.clear()
    decode_apart(PHOTO, 10**6)
    environment = Path(f"/proc/{decoder_process._idle[-1].child.pid}/environ")
    assert b"PYTHONPATH" in environment.read_bytes()
    assert b"canary" not in environment.read_bytes()
