"""Small pictures for galleries and reports."""

import base64
import io
from typing import Literal

from PIL import Image

from tasks.imaging.formats import FORMATS
from tasks.imaging.pixels import Rgb, shrink_rgb


def thumbnail(rgb: Rgb, longest: int = 320, form: Literal["jpeg", "webp"] = "jpeg", quality: int = 82) -> bytes:
    """`rgb` with its longer side at most `longest` pixels, as a small file without metadata."""
    buffer = io.BytesIO()
    Image.fromarray(shrink_rgb(rgb, longest)).save(buffer, form.upper(), quality=quality)
    return buffer.getvalue()


def small_file(data: bytes, longest: int = 400) -> bytes:
    """An image file that packshot itself has written, with its longer side at most `longest` pixels, as WebP."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        image.draft("RGB", (longest, longest))  # a JPEG is decoded no larger than it need be
        small = image.convert("RGB")
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=82, method=2)
    return buffer.getvalue()


def data_uri(data: bytes) -> str:
    """A JPEG, PNG or WebP file as a `data:` URI, for a page that must stand alone."""
    kind = "webp" if data[:4] == b"RIFF" else "png" if data[:4] == b"\x89PNG" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
