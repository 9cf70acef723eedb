import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason
from tasks.imaging.decode import decode, decode_mask, encode_png
from tasks.imaging.formats import kind_of
from tests.imaging.pictures import encoded, gradient

MAXIMUM = 1_000_000
PICTURE = Image.fromarray(gradient())


def reason(data: bytes, maximum: int = MAXIMUM) -> Reason:
    with pytest.raises(Rejected) as caught:
        decode(data, maximum)
    return caught.value.reason


@pytest.mark.parametrize(
    ("form", "options", "tolerance"),
    [("PNG", {}, 0), ("WEBP", {"lossless": True}, 0), ("JPEG", {"quality": 95, "subsampling": 0}, 3)],
)
def test_the_three_formats_give_their_pixels_back(form, options, tolerance):
    decoded = decode(encoded(PICTURE, form, **options), MAXIMUM)
    assert decoded.rgb.dtype == np.uint8
    assert decoded.alpha is None
    assert abs(decoded.rgb.astype(int) - gradient()).max() <= tolerance


@pytest.mark.parametrize("form", ["GIF", "BMP", "ICO", "PPM"])
def test_other_formats_are_refused_even_where_pillow_reads_them(form):
    data = encoded(PICTURE, form)
    assert Image.open(io.BytesIO(data)).size
    assert reason(data) == Reason.REFERENCE_UNREADABLE


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>not found</html>", "a web page"),
        (b"\xef\xbb\xbf\r\n <html>not found</html>", "a web page"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC"),
        (b"\0\0\0\x18ftypqt  \0\0\0\0", "a video or a camera's raw file"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\0" * 100, "unknown data"),
    ],
)
def test_the_message_says_what_came_instead(data, kind):
    assert kind_of(data) == kind
    with pytest.raises(Rejected, match=kind):
        decode(data, MAXIMUM)


@pytest.mark.parametrize(("form", "share"), [("JPEG", 0.5), ("JPEG", 0.9), ("PNG", 0.5), ("WEBP", 0.5), ("JPEG", 0.02)])
def test_a_cut_off_file_is_refused(form, share):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), form)
    assert reason(data[: int(len(data) * share)]) == Reason.REFERENCE_UNREADABLE


def test_a_pixel_bomb_is_refused_by_its_header():
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    for side in (2_000, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        assert reason(bomb) == Reason.REFERENCE_TOO_LARGE


def test_a_photo_of_exactly_the_maximum_passes():
    data = encoded(PICTURE, "PNG")
    assert decode(data, 60 * 90).rgb.shape == (60, 90, 3)
    assert reason(data, 60 * 90 - 1) == Reason.REFERENCE_TOO_LARGE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_exif_orientation_is_applied_and_its_gps_is_gone(orientation, form):
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    turned = PICTURE.transpose(inverse[orientation]) if orientation > 1 else PICTURE
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8825)[1] = "N"
    decoded = decode(encoded(turned, form, exif=exif.tobytes(), quality=95), MAXIMUM).rgb
    assert decoded.shape == (60, 90, 3)
    assert abs(decoded.astype(int) - gradient()).mean() < 4
    assert b"Exif" not in encode_png(decoded)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"MM\0*\xff\xff\xff\xff", b"II*\0", b"no TIFF"])
def test_damaged_exif_does_not_cost_the_photo(form, exif):
    assert decode(encoded(PICTURE, form, exif=b"Exif\0\0" + exif), MAXIMUM).rgb.shape == (60, 90, 3)


def test_sixteen_bits_are_rescaled_and_not_clipped():
    grey = np.full((8, 8), 40_000, np.uint16)
    decoded = decode(encoded(Image.fromarray(grey), "PNG"), MAXIMUM).rgb
    assert (decoded == 156).all()


def test_transparent_pixels_become_white_and_half_transparent_ones_a_mixture():
    rgba = np.zeros((4, 3, 4), np.uint8)
    rgba[:, :, 0] = 255
    rgba[:, 1, 3], rgba[:, 2, 3] = 128, 255
    decoded = decode(encoded(Image.fromarray(rgba), "PNG"), MAXIMUM)
    assert decoded.rgb[0].tolist() == [[255, 255, 255], [255, 127, 127], [255, 0, 0]]
    np.testing.assert_allclose(decoded.alpha[0], [0, 128 / 255, 1])


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "LA", "RGBA"])
def test_transparency_by_key_or_channel_is_found_in_every_mode(mode):
    image = Image.new("RGB", (6, 6), (10, 200, 30))
    image.paste((250, 10, 10), (0, 0, 3, 6))
    if mode in ("LA", "RGBA"):
        image = image.convert(mode)
        image.putalpha(Image.fromarray(np.array([[0, 0, 0, 255, 255, 255]] * 6, np.uint8)))
        data = encoded(image, "PNG")
    else:
        image = image.quantize(4, dither=Image.Dither.NONE) if mode == "P" else image.convert(mode)
        data = encoded(image, "PNG", transparency=image.getpixel((0, 0)))
    decoded = decode(data, MAXIMUM)
    assert (decoded.rgb[:, :3] == 255).all()
    assert (decoded.rgb[:, 3:] != 255).any()
    assert decoded.alpha[0].tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(form):
    other = Image.fromarray(255 - gradient())
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(PICTURE, form, save_all=True, append_images=[other, other], **options)
    assert (decode(data, MAXIMUM).rgb == gradient()).all()


def test_cmyk_keeps_its_colours():
    decoded = decode(encoded(PICTURE.convert("CMYK"), "JPEG", quality=95), MAXIMUM).rgb
    assert abs(decoded.astype(int) - gradient()).mean() < 6


def test_a_wide_gamut_profile_is_converted_to_srgb():
    """A profile with red and green exchanged: ignoring it gives green for red."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"sRGB", b"test"))
    count = struct.unpack(">I", profile[128:132])[0]
    places = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, green = (bytes(profile[places[tag] + 4 : places[tag] + 12]) for tag in (b"rXYZ", b"gXYZ"))
    profile[places[b"rXYZ"] + 4 : places[b"rXYZ"] + 12] = green
    profile[places[b"gXYZ"] + 4 : places[b"gXYZ"] + 12] = red
    for at in range(len(profile) - 10):  # its name is UTF-16
        if profile[at : at + 8] == "sRGB".encode("utf-16-be"):
            profile[at : at + 8] = "test".encode("utf-16-be")
    data = encoded(Image.new("RGB", (4, 4), (220, 30, 40)), "PNG", icc_profile=bytes(profile))
    red_value, green_value, _ = decode(data, MAXIMUM).rgb[0, 0]
    assert green_value > 200
    assert red_value < 60


def test_an_alpha_channel_that_hides_nothing_is_no_transparency():
    image = PICTURE.convert("RGBA")
    assert decode(encoded(image, "PNG"), MAXIMUM).alpha is None
    mask = np.pad(np.ones((30, 40), np.uint8), 10) * 255
    assert (decode_mask(encoded(Image.fromarray(mask).convert("RGBA"), "PNG"), mask.shape) == mask / 255).all()


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()  # has the time in it


@pytest.mark.parametrize("profile", [b"garbage", b"\0" * 200, SRGB], ids=["garbage", "zeros", "sRGB"])
def test_a_broken_profile_leaves_the_pixels_alone_and_so_does_srgb_itself(profile):
    assert (decode(encoded(PICTURE, "PNG", icc_profile=profile), MAXIMUM).rgb == gradient()).all()


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_few_colours_come_out_as_three_channels(mode):
    image = PICTURE.convert(mode)
    assert (decode(encoded(image, "PNG"), MAXIMUM).rgb == np.asarray(image.convert("RGB"))).all()


SEEDS = [
    encoded(PICTURE, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"),
    encoded(PICTURE.convert("CMYK"), "JPEG"),
    encoded(PICTURE, "JPEG", progressive=True),
    encoded(PICTURE, "PNG"),
    encoded(PICTURE.convert("P"), "PNG", transparency=1),
    encoded(PICTURE, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    encoded(PICTURE, "WEBP"),
    encoded(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(9)]),
    encoded(PICTURE, "TIFF", compression="tiff_lzw"),
    encoded(PICTURE, "AVIF"),
    encoded(PICTURE, "HEIF"),
]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@settings(max_examples=300)
@given(st.sampled_from(SEEDS), st.data())
def test_mutated_bytes_give_pixels_or_a_rejection_and_nothing_else(seed, data):
    mutated = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        kind = data.draw(st.sampled_from(["set", "cut", "drop", "repeat"]))
        if kind == "set":
            mutated[at] = data.draw(st.integers(0, 255))
        elif kind == "cut" and at:
            del mutated[at:]
        elif kind == "drop":
            del mutated[at : at + data.draw(st.integers(1, 40))]
        else:
            mutated[at:at] = mutated[at : at + 30]
        if not mutated:
            break
    with contextlib.suppress(Rejected):
        rgb = decode(bytes(mutated), MAXIMUM).rgb
        assert rgb.ndim == 3
        assert rgb.shape[0] * rgb.shape[1] <= MAXIMUM


def test_a_mask_is_read_from_lightness_or_from_alpha():
    mask = np.zeros((10, 20), np.uint8)
    mask[2:8, 5:15] = 255
    grey = decode_mask(encoded(Image.fromarray(mask), "PNG"), (10, 20))
    assert (grey == mask / 255).all()
    assert (decode_mask(encoded(Image.fromarray(mask), "TIFF", compression="tiff_lzw"), (10, 20)) == grey).all()
    image = Image.new("RGB", (20, 10), "red")
    image.putalpha(Image.fromarray(mask))
    assert (decode_mask(encoded(image, "PNG"), (10, 20)) == grey).all()
    assert (decode_mask(encode_png(grey), (10, 20)) == grey).all()


@pytest.mark.parametrize("data", [b"no image", encoded(PICTURE, "PNG"), encoded(PICTURE.resize((20, 9)), "PNG")])
def test_a_mask_of_another_size_or_damaged_is_refused(data):
    with pytest.raises(Rejected) as caught:
        decode_mask(data, (10, 20))
    assert caught.value.reason == Reason.MASK_UNREADABLE
    assert "20 x 10" in caught.value.detail


@pytest.mark.parametrize("grey", [0.0, 0.4])
def test_a_mask_without_a_product_is_refused(grey):
    with pytest.raises(Rejected, match="black all over") as caught:
        decode_mask(encode_png(np.full((10, 20), grey, np.float32)), (10, 20))
    assert caught.value.reason == Reason.MASK_UNREADABLE


def test_a_mask_that_is_white_where_the_product_is_not_is_refused():
    mask = np.ones((30, 40), np.float32)
    mask[8:30, 10:25] = 0.0
    with pytest.raises(Rejected, match="invert it") as caught:
        decode_mask(encode_png(mask), (30, 40))
    assert caught.value.reason == Reason.MASK_UNREADABLE
    wreath = np.pad(np.pad(np.zeros((20, 28), np.float32), 3, constant_values=1.0), ((2, 2), (3, 3)))
    for right in (1 - mask, np.ones_like(mask), np.pad(np.ones((26, 40), np.float32), ((4, 0), (0, 0))), wreath):
        assert (decode_mask(encode_png(right), (30, 40)) == right).all()
