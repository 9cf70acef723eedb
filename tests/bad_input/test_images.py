"""A photo is its pixels, upright and in sRGB, or a verdict; the product's other photo and its neighbours go on."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from catalog_schemas.rejection import Reason
from tasks.imaging.decode import decode
from tests.bad_input.night import BAD, Judged, Night
from tests.drawn_products import draw_photo
from tests.imaging.pictures import encoded, tiff

UNREADABLE, TOO_LARGE = Reason.REFERENCE_UNREADABLE, Reason.REFERENCE_TOO_LARGE
TOO_SMALL, BLANK, MASK = Reason.REFERENCE_TOO_SMALL, Reason.REFERENCE_BLANK, Reason.MASK_UNREADABLE
PHOTO, SHAPE = draw_photo(3, 7)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, body: bytes = b"", *between: bytes) -> bytes:
    """A PNG of 8 bit colour that promises a size and holds what it is given."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), *between, chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND", b"")]
    )


def text_bomb() -> bytes:
    """200 MB of one letter: a megabyte that is packed once and repeated, for it is to be made wherever tests are."""
    packer, letters = zlib.compressobj(), b"a" * 1_000_000
    first, again = (packer.compress(letters) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return b"x\0\0" + first + 199 * again + packer.flush()


def grown_jpeg(width: int, height: int) -> bytes:
    """A JPEG whose header lies about its size."""
    data = bytearray(encoded(PHOTO, "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def flat(width: int, height: int, form: str = "PNG", colour: str = "grey") -> bytes:
    return encoded(Image.new("RGB", (width, height), colour), form)


REFUSED: dict[str, tuple[bytes, Reason, str]] = {
    "zero bytes": (b"", UNREADABLE, "an empty file"),
    "a web page as JPEG": (b"<!DOCTYPE html><title>404</title>", UNREADABLE, "a web page"),
    "half a JPEG": (encoded(NOISE, "JPEG")[:3000], UNREADABLE, "a JPEG, damaged or cut off"),
    "half a PNG": (encoded(NOISE, "PNG")[:9000], UNREADABLE, "a PNG, damaged or cut off"),
    "half a WebP": (encoded(NOISE, "WEBP")[:2000], UNREADABLE, "a WebP"),
    "a JPEG's first bytes": (encoded(PHOTO, "JPEG")[:20], UNREADABLE, "a JPEG"),
    "a pixel bomb": (png(60_000, 60_000), TOO_LARGE, "header promises"),
    "a small pixel bomb": (png(10_000, 10_000), TOO_LARGE, "10000 x 10000"),
    "a JPEG bomb": (grown_jpeg(65_000, 65_000), TOO_LARGE, "allowed"),
    "a PNG without pixels": (png(96, 96), UNREADABLE, "a PNG"),
    "a PNG of no size": (png(0, 96), UNREADABLE, "a PNG"),
    "a text bomb in a PNG": (png(96, 96, b"", chunk(b"zTXt", text_bomb())), UNREADABLE, "a PNG"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', UNREADABLE, "an SVG"),
    "XML with an entity": (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///x">]>', UNREADABLE, "a web"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", UNREADABLE, "PostScript"),
    "PDF": (b"%PDF-1.7\n", UNREADABLE, "a PDF"),
    "half a TIFF": (encoded(NOISE, "TIFF", compression="tiff_lzw")[:9000], UNREADABLE, "a TIFF, damaged"),
    "a TIFF of inks": (encoded(PHOTO.convert("CMYK"), "TIFF"), UNREADABLE, "in CMYK without the colour profile"),
    "a TIFF bomb": (encoded(Image.new("1", (20_000, 20_000)), "TIFF", compression="group4"), TOO_LARGE, "allowed"),
    "PSD": (b"8BPS\0\1" + b"\0" * 100, UNREADABLE, "a Photoshop file"),
    "a HEIC's first bytes": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", UNREADABLE, "a HEIC, but damaged in its header"),
    "half a HEIC": (encoded(NOISE, "HEIF", tile_size=64)[:5000], UNREADABLE, "a HEIC, damaged or cut off"),
    "half an AVIF": (encoded(NOISE, "AVIF")[:2000], UNREADABLE, "an AVIF, but damaged in its header"),
    "a video": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", UNREADABLE, "a video or a camera's raw file, not a JPEG, PNG, WebP"),
    "GIF": (encoded(PHOTO, "GIF"), UNREADABLE, "a GIF"),
    "BMP": (encoded(PHOTO, "BMP"), UNREADABLE, "a BMP"),
    "a ZIP archive": (b"PK\x03\x04" + b"\0" * 100, UNREADABLE, "a ZIP archive"),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR.", UNREADABLE, "unknown data"),
    "random bytes": (np.random.default_rng(1).bytes(5000), UNREADABLE, "unknown data"),
    "one colour": (flat(96, 96), BLANK, "one uniform colour"),
    "one colour as JPEG": (flat(96, 96, "JPEG", "white"), BLANK, "one uniform colour"),
    "wholly transparent": (encoded(Image.new("RGBA", (96, 96), (200, 10, 10, 0)), "PNG"), BLANK, "one uniform colour"),
    "one pixel": (flat(1, 1), TOO_SMALL, "1 x 1"),
    "10 x 20,000": (encoded(NOISE.resize((10, 20_000)), "JPEG"), TOO_SMALL, "10 x 20000"),
    "20,000 x 10": (encoded(NOISE.resize((20_000, 10)), "PNG"), TOO_SMALL, "20000 x 10"),
    "63 pixels wide": (encoded(NOISE.resize((63, 96)), "PNG"), TOO_SMALL, "63 x 96"),
}


def add(night: Night, data: bytes, name: str = "x.jpg") -> None:
    """A product with this photo and a good one."""
    night.add(references=[f"photos-bad/{name}", "photos-bad/1.png"], masks=["", "photos-bad/1-mask.png"])
    (night.folder / "photos-bad" / name).write_bytes(data)


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_photo_has_its_reason_and_costs_itself_alone(night: Night, unharmed, name: str) -> None:
    data, reason, says = REFUSED[name]
    add(night, data)
    judged = night.judge()
    assert judged.verdicts(BAD) == [("prepare_references", reason)]
    assert says in judged.details(BAD)
    assert len(judged.details(BAD)) < 500
    assert len(judged.fate(BAD).photos) == 2
    assert len(judged.fate(BAD).prepared) == 1
    unharmed(judged)


def exif_turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    exif[0x010E] = "taken at home"
    return encoded(PHOTO.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=97, subsampling=0)


def wide_gamut() -> bytes:
    """A profile whose red and green are swapped, so that a picture read without it looks plainly wrong."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    data = bytearray(srgb.tobytes().replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be")))
    for at in range(132, 132 + 12 * struct.unpack(">I", data[128:132])[0], 12):
        data[at : at + 4] = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}.get(bytes(data[at : at + 4]), data[at : at + 4])
    swapped = Image.merge("RGB", [PHOTO.getchannel(band) for band in "GRB"])
    return encoded(swapped, "PNG", icc_profile=bytes(data))


def transparent() -> bytes:
    image = Image.new("RGBA", PHOTO.size, (255, 0, 0, 0))
    image.paste(PHOTO, mask=SHAPE)
    image.putalpha(SHAPE)
    return encoded(image, "PNG")


GREY = PHOTO.convert("L")
ON_WHITE = Image.composite(PHOTO, Image.new("RGB", PHOTO.size, "white"), SHAPE)
FRAMES = {"save_all": True, "append_images": [NOISE, NOISE.rotate(90)]}

ODD: dict[str, tuple[bytes, Image.Image, float]] = {
    "CMYK JPEG": (encoded(PHOTO.convert("CMYK"), "JPEG", quality=97, subsampling=0), PHOTO, 4),
    "16-bit PNG": (encoded(Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257), "PNG"), GREY.convert("RGB"), 0.5),
    "1-bit PNG": (encoded(GREY.convert("1"), "PNG"), GREY.convert("1").convert("RGB"), 0),
    "grey JPEG": (encoded(GREY, "JPEG", quality=97), GREY.convert("RGB"), 3),
    "transparent PNG": (transparent(), ON_WHITE, 0.5),
    "animated PNG": (encoded(PHOTO, "PNG", **FRAMES), PHOTO, 0),
    "animated WebP": (encoded(PHOTO, "WEBP", lossless=True, **FRAMES), PHOTO, 0),
    "turned by EXIF, with GPS": (exif_turned(), PHOTO, 4),
    "palette PNG": (encoded(PHOTO.quantize(256), "PNG"), PHOTO.quantize(256).convert("RGB"), 0),
    "wide gamut": (wide_gamut(), PHOTO, 2),
    "a broken profile": (encoded(PHOTO, "PNG", icc_profile=b"no profile"), PHOTO, 0),
    "progressive JPEG": (encoded(PHOTO, "JPEG", progressive=True, quality=97, subsampling=0), PHOTO, 4),
    "TIFF": (encoded(PHOTO, "TIFF", compression="tiff_lzw"), PHOTO, 0),
    "TIFF of 16 bits": (tiff(np.asarray(PHOTO).astype(np.uint16) * 257), PHOTO, 0),
    "AVIF": (encoded(PHOTO, "AVIF", quality=95), PHOTO, 4),
    "HEIC": (encoded(PHOTO, "HEIF", quality=95), PHOTO, 4),
    "a web page after the picture": (encoded(PHOTO, "PNG") + b"<script>alert(1)</script>", PHOTO, 0),
    "a script in the comment": (encoded(PHOTO, "JPEG", comment=b"<?php system($_GET[0]);", quality=97), PHOTO, 6),
}


def pixels(judged: Judged) -> np.ndarray:
    store = judged.context.open()
    first = next(one for one in judged.references if one.sku == BAD)
    data = store.read(first.image_key)
    assert Image.open(io.BytesIO(data)).info == {}, "nothing but pixels is kept"
    for text in (b"Exif", b"taken at home", b"script", b"system", b"ICC"):
        assert text not in data
    return decode(data, 10**6).rgb.astype(int)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_photo_is_accepted_with_its_colours(night: Night, unharmed, name: str) -> None:
    data, expected, tolerance = ODD[name]
    add(night, data)
    judged = night.judge()
    assert not judged.rejections
    assert len(judged.fate(BAD).prepared) == 2
    assert abs(pixels(judged) - np.asarray(expected).astype(int)).mean() <= tolerance
    unharmed(judged)


def grey_mask(width: int, height: int, value: int = 255) -> bytes:
    return encoded(Image.new("L", (width, height), value), "PNG")


MASKS: dict[str, tuple[bytes, Reason, str]] = {
    "of another size": (grey_mask(95, 96), MASK, "96 x 96"),
    "far larger": (grey_mask(9000, 9000), MASK, "96 x 96"),
    "black all over": (grey_mask(96, 96, 0), MASK, "black all over"),
    "a web page": (b"<html>", MASK, "96 x 96"),
    "zero bytes": (b"", MASK, "96 x 96"),
    "half a file": (encoded(NOISE, "PNG")[:5000], MASK, "96 x 96"),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_bad_mask_costs_its_photo_alone(night: Night, unharmed, name: str) -> None:
    data, reason, says = MASKS[name]
    night.add()
    (night.folder / "photos-bad/0-mask.png").write_bytes(data)
    judged = night.judge()
    assert judged.verdicts(BAD) == [("prepare_references", reason)]
    assert says in judged.details(BAD)
    assert len(judged.fate(BAD).prepared) == 1
    unharmed(judged)


PAIRS: dict[str, tuple[list[str], Reason]] = {
    "one too few": (["photos-bad/0-mask.png"], Reason.ROW_FIELD_INVALID),
    "one too many": (["photos-bad/0-mask.png"] * 3, Reason.ROW_FIELD_INVALID),
    "one forbidden": (["photos-bad/0-mask.png", "/etc/passwd"], Reason.REFERENCE_FORBIDDEN),
    "one missing": (["photos-bad/0-mask.png", "none.png"], Reason.REFERENCE_MISSING),
}


@pytest.mark.parametrize("name", PAIRS)
def test_masks_that_do_not_pair_are_named(night: Night, unharmed, name: str) -> None:
    masks, reason = PAIRS[name]
    night.add(masks=masks)
    judged = night.judge()
    assert judged.verdicts(BAD) == [("plan", reason)]
    unharmed(judged)
