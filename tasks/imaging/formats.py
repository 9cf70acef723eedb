"""Which image formats are read, what bytes look like, and which files would come out in wrong colours.

HEIC needs pillow-heif, an extra: its wheels hold x265, under the GPL, and who passes packshot on is to choose.
"""

import importlib.util
import io
import re
from functools import cache

from PIL import Image, ImageCms, TiffImagePlugin, features

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason

FORMATS = ("JPEG", "PNG", "WEBP")  # in which packshot itself writes
_NAMES = {"a JPEG": "JPEG", "a PNG": "PNG", "a WebP": "WebP", "a TIFF": "TIFF", "an AVIF": "AVIF", "a HEIC": "HEIC"}
_MORE = {"a TIFF": "TIFF", "an AVIF": "AVIF", "a HEIC": "HEIF"}
_NO_PICTURES = ("an empty file", "a web page", "a ZIP archive", "gzip data", "unknown data")
_SIGNATURES = (
    (b"GIF8", "a GIF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"II+\0", "a TIFF"),
    (b"MM\0+", "a TIFF"),
    (b"8BPS", "a Photoshop file"),
    (b"%!PS", "PostScript"),
    (b"%PDF", "a PDF"),
    (b"BM", "a BMP"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
)
_HEVC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_UNREAD = re.compile(
    "(a TIFF|an AVIF|a HEIC)(?: or video file)?, (?:not a|which is not read)"
)  # as it is said now, and was
_BITS, _COMPRESSION, _PHOTOMETRIC, _PLANES, _INKS, _SAMPLES = 258, 259, 262, 284, 332, 339
_PREVIEW, _PALETTE = 254, 320


@cache
def readable() -> tuple[str, ...]:
    """The kinds, as `kind_of` names them, that this installation decodes."""
    missing = set()
    if importlib.util.find_spec("pillow_heif") is None:
        missing.add("a HEIC")
    if not features.check("avif"):
        missing.add("an AVIF")
    return tuple(kind for kind in _NAMES if kind not in missing)


def formats_for(kind: str) -> tuple[str, ...]:
    """Pillow's names of the decoders to try on a file that looks like `kind`: no other one sees its bytes."""
    if kind not in _MORE or kind not in readable():
        return FORMATS
    if kind == "a HEIC":
        _register_heif()
    return (*FORMATS, _MORE[kind])


@cache
def _register_heif() -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


def kind_of(data: bytes) -> str:
    """What the first bytes look like, for a message to a person: "a GIF", "a web page", "an empty file"."""
    if not data:
        return "an empty file"
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if data[:2] == b"\xff\xd8":
        return "a JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "a PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "a WebP"
    if data[4:8] == b"ftyp":
        return _kind_of_boxes(data)
    lower = head.lower()
    if b"<svg" in lower:
        return "an SVG"
    if lower.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "a web page"
    return next((name for magic, name in _SIGNATURES if data.startswith(magic)), "unknown data")


def _kind_of_boxes(data: bytes) -> str:
    """By the brands of an ISO base media file: its own, and those that it is compatible with."""
    end = min(max(int.from_bytes(data[:4], "big"), 12), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
    if brands[0] in (b"avif", b"avis"):
        return "an AVIF"
    if brands[0] in _HEVC:
        return "a HEIC"
    if brands[0] not in (b"mif1", b"msf1"):
        return "a video or a camera's raw file"
    return "an AVIF" if b"avif" in brands else "a HEIC"


def unidentified(data: bytes) -> Rejected:
    """The verdict on a file that no decoder takes."""
    kind, names = kind_of(data), [_NAMES[one] for one in readable()]
    if kind == "a TIFF":
        detail = "a TIFF, damaged in its header or of a rare kind: save it as JPEG, or as TIFF in RGB with 8 or 16 bits"
    elif kind in readable():
        detail = f"{kind}, but damaged in its header: upload the photo again"
    elif kind == "a HEIC":
        detail = "a HEIC, which is not read here: pip install 'packshot[heic]' where packshot runs, or save it as JPEG"
    else:
        upload = "upload the photo again" if kind in _NO_PICTURES else "save it as JPEG or PNG, and upload that"
        detail = f"{kind}, not a {', '.join(names[:-1])} or {names[-1]} image: {upload}"
    return Rejected(Reason.REFERENCE_UNREADABLE, detail)


def is_read_by_now(detail: str) -> bool:
    """Whether a run refused a photo or a mask with this detail for its format alone, and that is read today."""
    found = _UNREAD.search(detail)
    return found is not None and found[1] in readable()


def refuse_wrong_colours(image: Image.Image) -> None:
    """Raises `Rejected` REFERENCE_UNREADABLE where Pillow would open a TIFF and show something else than it holds."""
    if isinstance(image, TiffImagePlugin.TiffImageFile) and (fault := _fault_of(image)):
        detail = f"a TIFF {fault}: save it as JPEG, or as TIFF in RGB with 8 or 16 bits"
        raise Rejected(Reason.REFERENCE_UNREADABLE, detail)


def _fault_of(image: TiffImagePlugin.TiffImageFile) -> str | None:
    """By TIFF 6.0's tags. What is not named here was compared with another reader's pixels, variant by variant."""
    tags = image.tag_v2
    bits, colours = max(tags.get(_BITS, (1,))), tags.get(_PHOTOMETRIC, 0)
    packed, planes = tags.get(_COMPRESSION, 1) != 1, tags.get(_PLANES, 1) == 2
    if tags.get(_PREVIEW, 0) & 1:
        return "whose first page is a small preview, as in a camera's raw file"
    if set(tags.get(_SAMPLES, (1,))) != {1}:
        return "in floating point, or with signed numbers"
    if bits not in (1, 2, 4, 8, 16):
        return f"with {bits} bits a channel"
    if bits == 16 and (colours == 0 or (planes and not packed)):
        return "with 16 bits a channel, laid out in a rare way"
    if colours == 3 and max(tags.get(_PALETTE, (0,))) < 256:
        return "with a faulty palette"
    if colours == 5 and (tags.get(_INKS, 1) != 1 or not _is_cmyk(image.info.get("icc_profile"))):
        return "in CMYK without the colour profile that says what its inks look like"
    if colours not in (0, 1, 2, 3, 5) and not (colours == 6 and tags.get(_COMPRESSION) == 7):
        return "in colours other than RGB, grey or CMYK"
    return None


def _is_cmyk(profile: bytes | None) -> bool:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile or b"")).profile.xcolor_space == "CMYK"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False
