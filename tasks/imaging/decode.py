"""Bytes from anywhere to pixels we trust: upright, 8-bit, sRGB, and nothing else of the file.

A reference photo comes from a shop's upload folder, so it is hostile until decoded: one decoder is tried, the size in
the header is checked before a pixel is unpacked, and whatever the decoder raises becomes a `Rejected`. So does what a
decoder would show in wrong colours: see `tasks/imaging/formats.py`.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason
from tasks.imaging.boxes import is_cut_off, named_profile
from tasks.imaging.formats import FORMATS, formats_for, kind_of, refuse_wrong_colours, unidentified
from tasks.imaging.pixels import Mask, Rgb, border_of

_TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
_ORIENTATION = 0x0112
_MULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_FAST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A photo's pixels. `rgb` stands on white where the file was transparent; `alpha` is None for an opaque file."""

    rgb: Rgb
    alpha: Mask | None


def decode(data: bytes, pixels_maximum: int) -> Decoded:
    """The first frame of a JPEG, PNG, WebP, TIFF, AVIF or HEIC file, upright, in sRGB, 8 bits a channel.

    Of a HEIC or AVIF that holds several pictures it is the one that the file calls primary.

    Raises `Rejected`: REFERENCE_TOO_LARGE when the header promises more than `pixels_maximum` pixels,
    REFERENCE_UNREADABLE when the bytes are another format, or damaged or cut off anywhere.
    """
    try:
        with Image.open(io.BytesIO(data), formats=formats_for(kind_of(data))) as image:
            width, height = image.size
            if width * height > pixels_maximum:
                raise Rejected(
                    Reason.REFERENCE_TOO_LARGE,
                    f"{width} x {height} pixels are more than the {pixels_maximum:,} allowed: send a smaller photo",
                )
            refuse_wrong_colours(image)
            named = None
            if image.format in ("AVIF", "HEIF"):
                if is_cut_off(data):
                    raise EOFError("its end is missing")
                named = named_profile(data)
            image.load()
            return _upright(image, _decoded(image, image.info.get("icc_profile") or named))
    except (Rejected, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise Rejected(
            Reason.REFERENCE_TOO_LARGE,
            f"the header promises far more than the {pixels_maximum:,} pixels allowed: send a smaller photo",
        ) from None
    except UnidentifiedImageError:
        raise unidentified(data) from None
    # Decoders raise anything from struct.error to KeyError on damaged files; each of them is this one verdict.
    except Exception as error:
        raise Rejected(
            Reason.REFERENCE_UNREADABLE, f"{kind_of(data)}, damaged or cut off ({error}): upload the photo again"
        ) from None


def decode_mask(data: bytes, size: tuple[int, int], decoder: Callable[[bytes, int], Decoded] = decode) -> Mask:
    """A mask file of exactly `size` (height, width): its alpha if it has any, else its lightness.

    Raises `Rejected` MASK_UNREADABLE when it is damaged, another format, of another size, without a product, or white
    where that is not.
    """
    height, width = size
    try:
        decoded = decoder(data, height * width)
    except Rejected as rejected:
        detail = f"the mask cannot be used, its photo is {width} x {height}: {rejected.detail}"
        raise Rejected(Reason.MASK_UNREADABLE, detail) from None
    if decoded.rgb.shape[:2] != size:
        came_height, came_width = decoded.rgb.shape[:2]
        raise Rejected(
            Reason.MASK_UNREADABLE, f"the mask is {came_width} x {came_height} pixels, its photo {width} x {height}"
        )
    lightness = np.asarray(decoded.rgb.mean(axis=2) / 255.0, dtype=np.float32)
    mask = lightness if decoded.alpha is None else decoded.alpha
    if mask.max() < 0.5:
        raise Rejected(Reason.MASK_UNREADABLE, "the mask is black all over: it must be white where the product is")
    if _is_inverted(mask):
        detail = (
            "the mask is white all around and black in the middle: it must be white where the product is; invert it"
        )
        raise Rejected(Reason.MASK_UNREADABLE, detail)
    return mask


def _is_inverted(mask: Mask) -> bool:
    height, width = mask.shape
    border = border_of(mask)
    middle = mask[height // 3 : height - height // 3, width // 3 : width - width // 3]
    return float(border.mean()) > 0.8 and float(middle.mean()) < 0.5


def encode_png(pixels: Rgb | Mask) -> bytes:
    """An image or a mask as PNG, quickly: for objects that packshot itself reads again.

    Each row is held as its difference from the one above. To choose among all filters for each row (PNG, section 12.7)
    takes twice as long to write and to read, and as many bytes.
    """
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(pixels, 0, 1).astype(np.float32) * 255.0).astype(np.uint8)
    written = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    return cv2.imencode(".png", written, _FAST_PNG)[1].tobytes()


def _decoded(image: Image.Image, profile: bytes | None) -> Decoded:
    """Colours to sRGB, transparency onto white."""
    if image.mode in _MULTIPLIED:  # by their transparency, which TIFF and HEIC may hold
        image = image.convert(_MULTIPLIED[image.mode])
    alpha = _alpha_of(image)
    rgb = _to_srgb(_eight_bit(image), profile)
    if alpha is None or alpha.min() == 1.0:
        return Decoded(rgb, None)
    on_white = 255.0 - (255.0 - rgb) * alpha[..., np.newaxis]
    return Decoded(np.rint(on_white).astype(np.uint8), alpha)


def _alpha_of(image: Image.Image) -> Mask | None:
    if image.mode.startswith("I"):  # a 16-bit grey PNG may name one grey as transparent
        key = image.info.get("transparency")
        return None if key is None else (np.asarray(image) != key).astype(np.float32)
    if not image.has_transparency_data:
        return None
    return np.asarray(image.convert("RGBA").getchannel("A"), dtype=np.float32) / np.float32(255.0)


def _eight_bit(image: Image.Image) -> Image.Image:
    """The colours alone, in L, RGB or CMYK. `convert` would clip 16-bit grey at 255, so that is rescaled here."""
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        return Image.fromarray(np.clip((grey + 128) // 257, 0, 255).astype(np.uint8))
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    if image.mode in ("1", "LA"):
        return image.convert("L")
    # By way of RGBA: converting a palette straight to RGB warns about its transparency.
    return image.convert("RGBA").convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Rgb:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if not _is_srgb(source):
                intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
                transform = ImageCms.buildTransform(source, _SRGB, image.mode, "RGB", intent, flags)
                return np.array(ImageCms.applyTransform(image, transform))
        # A broken profile, or one for other channels: the photo is fine, and sRGB is what an untagged file means.
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return np.array(image.convert("RGB"))


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Converting sRGB to itself would only add rounding."""
    return "sRGB" in (profile.profile.profile_description or "")


def _upright(image: Image.Image, decoded: Decoded) -> Decoded:
    """Turn the pixels as the EXIF orientation asks; damaged EXIF leaves them as they lie.

    A TIFF or HEIC has been turned by its decoder, and of an AVIF only its own boxes count, which Pillow makes EXIF of.
    """
    if image.format in ("TIFF", "HEIF"):
        return decoded
    if image.format == "AVIF":
        image.info.pop("xmp", None)  # it may name the orientation that the boxes have seen to
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # the EXIF reader, too, raises anything on damaged blocks
        orientation = 1
    rgb, alpha = decoded.rgb, decoded.alpha
    for turn in _TURNS.get(orientation, ()):
        rgb = np.asarray(Image.fromarray(rgb).transpose(turn))
        alpha = None if alpha is None else np.asarray(Image.fromarray(alpha).transpose(turn))
    return Decoded(rgb, alpha)


def size_of(data: bytes) -> tuple[int, int]:
    """Height and width that an image file's header promises; for files that packshot itself has written."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return image.height, image.width
