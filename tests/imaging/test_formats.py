"""TIFF, AVIF and HEIC give their colours, the right way up, or a verdict: never other colours."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason
from tasks.imaging import formats
from tasks.imaging.decode import decode
from tasks.imaging.formats import is_read_by_now, kind_of
from tests.imaging.pictures import INK_LOOKS, encoded, gradient, ink_profile, tiff

MAXIMUM = 1_000_000
COLOURS = gradient()
PICTURE = Image.fromarray(COLOURS)
GREY = np.asarray(PICTURE.convert("L"))
INKS = np.asarray(PICTURE.convert("CMYK"))
CLEAR = np.tile(np.linspace(0, 255, 90).astype(np.uint8), (60, 1))
ON_WHITE = 255 - (255 - COLOURS.astype(float)) * (CLEAR / 255)[..., np.newaxis]
MULTIPLIED = np.rint(COLOURS * (CLEAR / 255)[..., np.newaxis]).astype(np.uint8)


def deep(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.uint16) * 257


def planes(pixels: np.ndarray) -> np.ndarray:
    return np.moveaxis(pixels, 2, 0)


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, CLEAR])


def difference(data: bytes, expected: np.ndarray) -> float:
    rgb = decode(data, MAXIMUM).rgb
    assert rgb.shape == (60, 90, 3)
    expected = expected if expected.ndim == 3 else np.dstack([expected] * 3)
    return abs(rgb.astype(float) - expected).mean()


def refusal(data: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        decode(data, MAXIMUM)
    assert caught.value.reason == Reason.REFERENCE_UNREADABLE
    return caught.value.detail


def colormap(scale: int) -> np.ndarray:
    return np.stack([np.arange(256)] * 3).astype(np.uint16) * scale


READ: dict[str, tuple[np.ndarray, np.ndarray, dict[str, Any]]] = {
    "strips": (COLOURS, COLOURS, {"rowsperstrip": 7}),
    "tiles": (COLOURS, COLOURS, {"tile": (32, 48)}),
    "big end first": (COLOURS, COLOURS, {"byteorder": ">"}),
    "BigTIFF": (COLOURS, COLOURS, {"bigtiff": True}),
    "a plane for each channel": (planes(COLOURS), COLOURS, {"planarconfig": "separate"}),
    "16 bits": (deep(COLOURS), COLOURS, {}),
    "16 bits, big end first": (deep(COLOURS), COLOURS, {"byteorder": ">"}),
    "16 bits, deflate": (deep(COLOURS), COLOURS, {"compression": "zlib", "predictor": True}),
    "16 bits, planes, deflate": (planes(deep(COLOURS)), COLOURS, {"planarconfig": "separate", "compression": "zlib"}),
    "grey": (GREY, GREY, {"photometric": "minisblack"}),
    "grey, 16 bits": (deep(GREY), GREY, {"photometric": "minisblack"}),
    "grey that begins at white": (255 - GREY, GREY, {"photometric": "miniswhite"}),
    "black and white": (GREY > 99, np.where(GREY > 99, 255, 0), {"photometric": "minisblack"}),
    "a palette": (GREY, GREY, {"photometric": "palette", "colormap": colormap(257)}),
    "alpha": (with_alpha(COLOURS), ON_WHITE, {"extrasamples": ["unassalpha"]}),
    "alpha, multiplied": (with_alpha(MULTIPLIED), ON_WHITE, {"extrasamples": ["assocalpha"]}),
    "alpha, multiplied, 16 bits": (deep(with_alpha(MULTIPLIED)), ON_WHITE, {"extrasamples": ["assocalpha"]}),
    "grey, alpha, multiplied": (
        np.dstack([np.rint(GREY * (CLEAR / 255)).astype(np.uint8), CLEAR]),
        255 - (255 - GREY.astype(float)) * (CLEAR / 255),
        {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["assocalpha"]},
    ),
    "a channel of something else": (with_alpha(COLOURS), COLOURS, {"extrasamples": ["unspecified"]}),
    "further pages": (np.stack([COLOURS, 255 - COLOURS]), COLOURS, {}),
}


@pytest.mark.parametrize("kind", READ)
def test_a_tiff_gives_the_pixels_of_its_first_page(kind: str) -> None:
    pixels, expected, options = READ[kind]
    assert difference(tiff(pixels, **options), expected) < 0.5


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd"])
def test_a_compressed_tiff_gives_its_pixels(compression: str) -> None:
    data = encoded(PICTURE, "TIFF", compression=compression)
    assert difference(data, COLOURS) < (2 if compression == "jpeg" else 0.01)
    assert "TIFF, damaged" in refusal(data[: len(data) // 2])


def test_a_tiff_in_a_jpegs_own_colours_gives_them() -> None:
    assert difference(encoded(PICTURE.convert("YCbCr"), "TIFF", compression="jpeg", quality=95), COLOURS) < 2


def test_inks_other_than_cmyk_are_refused_whatever_their_profile() -> None:
    options = {"planarconfig": "contig", "iccprofile": ink_profile(), "extratags": [(332, 3, 1, 2, True)]}
    assert "colour profile" in refusal(tiff(INKS, "separated", **options))


REFUSED: dict[str, tuple[np.ndarray, dict[str, Any], str]] = {
    "numbers with a sign": (GREY.astype(np.int8), {"photometric": "minisblack"}, "signed"),
    "numbers with a point": ((GREY / 255).astype(np.float32), {"photometric": "minisblack"}, "floating point"),
    "32 bits": (GREY.astype(np.uint32) << 24, {"photometric": "minisblack"}, "32 bits"),
    "16 bits from white": (65535 - deep(GREY), {"photometric": "miniswhite"}, "16 bits"),
    "16 bits in planes": (planes(deep(COLOURS)), {"planarconfig": "separate"}, "16 bits"),
    "a palette of 8 bits": (GREY, {"photometric": "palette", "colormap": colormap(1)}, "palette"),
    "Lab": (COLOURS, {"photometric": "cielab"}, "colours other than RGB"),
    "floating colours": ((COLOURS / 255).astype(np.float32), {}, "of a rare kind"),
    "a camera's raw": (GREY, {"photometric": "cfa"}, "of a rare kind"),
    "a preview first": (COLOURS, {"subfiletype": 1}, "preview"),
    "a preview of a page": (COLOURS, {"subfiletype": 3}, "preview"),
    "inks without a profile": (INKS, {"photometric": "separated", "planarconfig": "contig"}, "colour profile"),
    "inks with a screen's profile": (
        INKS,
        {
            "photometric": "separated",
            "planarconfig": "contig",
            "iccprofile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        },
        "colour profile",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_tiff_that_would_come_out_in_other_colours_is_refused_with_what_to_do(kind: str) -> None:
    pixels, options, says = REFUSED[kind]
    detail = refusal(tiff(pixels, **options))
    assert says in detail
    assert detail.startswith("a TIFF")
    assert "save it" in detail


def test_a_tiff_of_12_bits_which_pillow_reads_too_dark_is_refused() -> None:
    of_16, of_12 = (struct.pack("<HHII", 258, 3, 1, bits) for bits in (16, 12))  # the entry BitsPerSample
    data = tiff(deep(GREY), photometric="minisblack")
    assert of_16 in data
    assert "12 bits" in refusal(data.replace(of_16, of_12))


def in_srgb(lightness: float, a: float, b: float) -> np.ndarray:
    """A colour in CIE Lab under D50, by the definitions of the two."""
    level = (lightness + 16) / 116 + np.array([a / 500, 0, -b / 200])
    xyz = np.where(level > 6 / 29, level**3, 3 * (6 / 29) ** 2 * (level - 4 / 29)) * [0.9642, 1, 0.8249]
    columns = np.array([[0.43604, 0.38511, 0.14305], [0.22248, 0.71691, 0.06061], [0.01392, 0.09707, 0.71391]])
    light = np.clip(np.linalg.solve(columns, xyz), 0, 1)
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"planarconfig": "separate", "compression": "zlib"}])
def test_inks_look_as_their_profile_says(options: dict[str, Any]) -> None:
    pure = np.zeros((60, 90, 4), np.uint8)
    for ink in range(4):
        pure[15 * ink : 15 * ink + 15, :, ink] = 255
    pixels = planes(pure) if "planarconfig" in options else pure
    options = {"planarconfig": "contig", "iccprofile": ink_profile()} | options
    for data in (tiff(pixels, "separated", **options), tiff(deep(pixels), "separated", **options)):
        rgb = decode(data, MAXIMUM).rgb[[7, 22, 37, 52], 0]
        assert abs(rgb - np.array([in_srgb(*lab) for lab in INK_LOOKS])).max() < 8


@pytest.mark.parametrize(("form", "exact"), [("AVIF", {"subsampling": "4:4:4"}), ("HEIF", {"chroma": 444})])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_an_avif_or_heic_gives_its_colours(form: str, exact: dict[str, Any], mode: str) -> None:
    image = PICTURE.convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(CLEAR))
    expected = {"RGB": COLOURS, "L": GREY, "RGBA": ON_WHITE}[mode]
    data = encoded(image, form, quality=95, **exact)
    assert difference(data, expected) < 1.5
    for end in (20, len(data) // 2, len(data) - 9):
        assert "damaged" in refusal(data[:end])


def numbered(form: str, primaries: int, curve: int) -> bytes:
    data = bytearray(encoded(PICTURE, form, quality=95, **({"chroma": 444} if form == "HEIF" else {})))
    struct.pack_into(">HH", data, data.index(b"colrnclx") + 8, primaries, curve)
    return bytes(data)


def from_wide(primaries: list[tuple[float, float]]) -> np.ndarray:
    """The picture, were its numbers meant for these primaries: by the definitions of the two colour spaces."""

    def matrix(corners: list[tuple[float, float]]) -> np.ndarray:
        xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in [*corners, (0.3127, 0.3290)]]).T
        return xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])

    value = COLOURS / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    srgb = matrix([(0.64, 0.33), (0.3, 0.6), (0.15, 0.06)])
    light = np.clip(linear @ (np.linalg.inv(srgb) @ matrix(primaries)).T, 0, 1)
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_a_colour_space_that_is_named_by_numbers_is_kept(form: str) -> None:
    wide = {12: [(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)], 9: [(0.708, 0.292), (0.17, 0.797), (0.131, 0.046)]}
    for number, primaries in wide.items():
        expected = from_wide(primaries)
        assert abs(expected - COLOURS).mean() > 8
        assert difference(numbered(form, number, 13), expected) < 1.5
    assert difference(numbered(form, 2, 2), COLOURS) < 1.5
    for odd in ((9, 16), (9, 18), (1, 8), (11, 13)):
        assert "HDR or in rare colours" in refusal(numbered(form, *odd))


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_only_the_boxes_of_an_avif_or_heic_turn_it(form: str) -> None:
    """EXIF and XMP often say again how the boxes have turned it, and sometimes something else."""
    exif = Image.Exif()
    exif[0x0112] = 6
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    for said in ({"exif": exif.tobytes()}, {"xmp": xmp}):
        data = bytearray(encoded(PICTURE, form, quality=95, **said))
        if (at := data.find(b"irot")) > 0:
            data[at + 4] = 0
        assert difference(bytes(data), COLOURS) < 2


def test_a_tiff_is_turned_once_whatever_its_xmp_says() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    turned = np.asarray(PICTURE.transpose(Image.Transpose.ROTATE_90))
    assert difference(tiff(turned, extratags=[(274, 3, 1, 6, True), (700, 1, len(xmp), xmp, True)]), COLOURS) == 0
    assert difference(tiff(COLOURS, extratags=[(274, 3, 1, 1, True), (700, 1, len(xmp), xmp, True)]), COLOURS) == 0


def test_a_heic_of_several_pictures_gives_the_primary_one() -> None:
    other = Image.fromarray(255 - COLOURS)
    data = encoded(other, "HEIF", save_all=True, append_images=[PICTURE, other], primary_index=1, chroma=444)
    assert difference(data, COLOURS) < 2


def test_a_phones_heic_of_tiles_is_whole_or_refused() -> None:
    """Where a file ends early, its decoder leaves the tiles that are missing black, and says nothing."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "HEIF", tile_size=64, chroma=444)
    assert b"grid" in data
    assert abs(decode(data, MAXIMUM).rgb.astype(int) - noise).mean() < 20
    for share in (0.5, 0.9, 0.999):
        assert "its end is missing" in refusal(data[: int(len(data) * share)])


@pytest.mark.parametrize("form", ["TIFF", "AVIF", "HEIF"])
def test_a_header_that_promises_too_much_is_refused_before_a_pixel_is_unpacked(form: str) -> None:
    data = encoded(PICTURE, form)
    with pytest.raises(Rejected, match="90 x 60 pixels are more than") as caught:
        decode(data, 90 * 60 - 1)
    assert caught.value.reason == Reason.REFERENCE_TOO_LARGE
    assert decode(data, 90 * 60).rgb.shape == (60, 90, 3)


def test_pages_that_lead_in_a_circle_are_not_followed() -> None:
    data = bytearray(tiff(COLOURS))
    begin = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, begin)[0]
    struct.pack_into("<I", data, begin + 2 + 12 * entries, begin)
    assert difference(bytes(data), COLOURS) == 0


def test_a_heic_is_refused_with_what_to_install_where_nothing_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(PICTURE, "HEIF")
    assert decode(data, MAXIMUM).rgb.shape == (60, 90, 3)
    monkeypatch.setattr(formats, "readable", lambda: ("a JPEG", "a PNG", "a TIFF"))
    detail = refusal(data)
    assert "pip install 'packshot[heic]'" in detail
    assert "not a JPEG, PNG or TIFF image: save it as JPEG" in refusal(encoded(PICTURE, "AVIF"))
    assert not is_read_by_now(detail)
    monkeypatch.undo()
    assert is_read_by_now(detail)


@pytest.mark.parametrize(
    ("detail", "again"),
    [
        ("a TIFF, not a JPEG, PNG or WebP image: save it as JPEG or PNG, and upload that", True),
        ("an AVIF, not a JPEG, PNG or WebP image: save it as JPEG or PNG, and upload that", True),
        ("a HEIC or video file, not a JPEG, PNG or WebP image: save it as JPEG or PNG, and upload that", True),
        ("the mask cannot be used, its photo is 9 x 9: a TIFF, not a JPEG, PNG or WebP image: save it as JPEG", True),
        ("a GIF, not a JPEG, PNG or WebP image: save it as JPEG or PNG, and upload that", False),
        ("a TIFF, damaged or cut off (decoder error -2): upload the photo again", False),
        ("a TIFF with 12 bits a channel: save it as JPEG, or as TIFF in RGB with 8 or 16 bits", False),
    ],
)
def test_what_was_refused_for_its_format_alone_is_known_by_what_was_said(detail: str, again: bool) -> None:
    assert is_read_by_now(detail) == again


@pytest.mark.parametrize(
    ("brands", "kind"),
    [
        ("heic", "a HEIC"),
        ("avif", "an AVIF"),
        ("mif1 heic", "a HEIC"),
        ("mif1 miaf avif", "an AVIF"),
        ("qt  ", "a video or a camera's raw file"),
        ("crx ", "a video or a camera's raw file"),
    ],
)
def test_files_of_boxes_are_told_apart_by_their_brands(brands: str, kind: str) -> None:
    names = [brands[at : at + 4].encode() for at in range(0, len(brands), 5)]
    body = names[0] + bytes(4) + b"".join(names[1:])
    assert kind_of(struct.pack(">I", 8 + len(body)) + b"ftyp" + body) == kind


def test_of_a_file_of_boxes_that_promises_more_brands_than_any_has_the_first_are_looked_at() -> None:
    """Its length is the file's own word: four gigabytes of brands would be a list of a billion."""
    promised = struct.pack(">I", 400) + b"ftypmif1" + bytes(4)
    assert kind_of(promised + b"miaf" * 20 + b"avif") == "an AVIF"
    assert kind_of(promised + b"miaf" * 80 + b"avif") == "a HEIC"


def test_pillow_reads_no_format_for_bytes_that_look_like_another() -> None:
    data = encoded(PICTURE, "TIFF")
    assert Image.open(io.BytesIO(data)).format == "TIFF"
    assert formats.formats_for("a JPEG") == formats.formats_for("a HEIC, perhaps") == formats.FORMATS
