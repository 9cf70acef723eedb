"""A draft becomes the file that a sales channel accepts: size, shape, format, weight, white background, marks."""

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from scipy import ndimage

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason
from configs.entries import Channel
from tasks.imaging.framing import filling, framed
from tasks.imaging.marking import Marks, xmp_packet
from tasks.imaging.photograph import widened
from tasks.imaging.pixels import Bools, Mask, Rgb, border_of, box_of, scale_mask, scale_rgb

_LOWEST_QUALITY = 40  # below, JPEG blocks show on plain surfaces
_NEAR_WHITE = 244  # a draft's studio white; the flood from the border stops at anything darker
_WHITE_BORDER = 0.97  # share of the border that must be near-white for the picture to be a cut-out on white


def finish(
    rgb: Rgb,
    channel: Channel,
    marks: Marks,
    mask: Mask | None = None,
    photograph: Callable[[], Rgb] | None = None,
    spotted: Callable[[], Mask | None] | None = None,
) -> bytes:
    """The image file for `channel`: the same bytes for the same arguments.

    The draft is brought to the channel's shape, Lanczos-scaled, and encoded with an sRGB profile and `marks` in XMP;
    quality is lowered step by step until `max_bytes` holds. For a `white_background` channel everything around the
    product is made exactly white. `mask`, the product's mask in `rgb`, keeps the whole product in view (see `framed`)
    and says what of a white product is not background; without it what is `spotted` is kept in view, or else the
    middle. Where the draft shows the middle of a `photograph`, a channel of another shape shows more of that. Both are
    asked for where they are needed.

    Raises `Rejected` FINISH_FAILED when a rule of the channel cannot be met.
    """
    if mask is not None and mask.shape != rgb.shape[:2]:
        raise ValueError(f"the mask is {mask.shape}, the image {rgb.shape[:2]}")
    width, height = _size(rgb, channel)
    if channel.white_background:
        shaped, product = _on_white(rgb, mask, width, height, channel)
    else:
        if channel.fit == "cover" and height != _as_high(rgb, width):
            mask = spotted() if mask is None and spotted else mask
            if photograph and mask is not None:
                rgb, mask = widened(rgb, mask, photograph())
        shaped, product = framed(rgb, mask, width, height, channel), None
    return _encoded(shaped, product, channel, marks)


def _size(rgb: Rgb, channel: Channel) -> tuple[int, int]:
    """Width and height of the file: as the channel says, or as drawn; one given side scales the other."""
    height, width = rgb.shape[:2]
    if channel.width and channel.height:
        return channel.width, channel.height
    if channel.width:
        return channel.width, _as_high(rgb, channel.width)
    if channel.height:
        return max(1, round(width * channel.height / height)), channel.height
    return width, height


def _as_high(rgb: Rgb, width: int) -> int:
    """The height of a picture of the draft's shape."""
    return max(1, round(rgb.shape[0] * width / rgb.shape[1]))


def _on_white(rgb: Rgb, mask: Mask | None, width: int, height: int, channel: Channel) -> tuple[Rgb, Bools]:
    """The product on exact white, its longer side within the channel's fill, and where it is."""
    border = border_of(rgb)
    near_white = float((border >= _NEAR_WHITE).all(axis=1).mean())
    if near_white < _WHITE_BORDER:
        raise Rejected(
            Reason.FINISH_FAILED,
            f"channel {channel.name} needs a white background, but {1 - near_white:.0%} of the image's border is "
            "another colour: use a technique that draws on white",
        )
    product = _product(rgb, mask)
    if not product.any():
        raise Rejected(Reason.FINISH_FAILED, f"channel {channel.name} needs a product, but the image is plain white")
    rows, columns = box_of(product.astype(np.float32))
    whitened = np.where(product[..., None], rgb, np.uint8(255))[rows, columns]
    fitting = min(width / rgb.shape[1], height / rgb.shape[0])
    scale = filling(rows, columns, width, height, fitting, channel)
    box_height, box_width = whitened.shape[:2]
    inner = min(width, max(1, round(box_width * scale))), min(height, max(1, round(box_height * scale)))
    canvas, known = np.full((height, width, 3), 255, np.uint8), np.zeros((height, width), np.float32)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    place = slice(top, top + inner[1]), slice(left, left + inner[0])
    canvas[place] = scale_rgb(np.ascontiguousarray(whitened), *inner)
    if mask is not None:
        known[place] = scale_mask(mask[rows, columns], *inner)
    # Lanczos rings by a level or two beside the product: white again, up to its edge.
    product = _product(canvas, known)
    return np.where(product[..., None], canvas, np.uint8(255)), product


def _product(rgb: Rgb, mask: Mask | None) -> Bools:
    """All but the white around it, and what the mask knows to be the product, however white."""
    product = ~_white_around(rgb)
    return product if mask is None else product | (mask >= 0.5)


def _white_around(rgb: Rgb) -> Bools:
    """The near-white area that reaches the picture's border; white inside the product is not part of it."""
    labels, _ = ndimage.label((rgb >= _NEAR_WHITE).all(axis=2))
    border = np.unique(border_of(labels))
    return np.asarray(np.isin(labels, border[border > 0]))


def _encoded(rgb: Rgb, product: Bools | None, channel: Channel, marks: Marks) -> bytes:
    """The first encoding, from the channel's quality downwards, that keeps `max_bytes` and the white background."""
    qualities = [channel.quality, *range(channel.quality - 1, _LOWEST_QUALITY - 1, -3)]
    lightest = 0
    for quality in qualities if channel.format != "png" else [channel.quality]:
        data = _encode(rgb, channel, quality, marks)
        lightest = len(data)
        if lightest <= channel.max_bytes and (product is None or _stays_white(data, product)):
            return data
    if lightest > channel.max_bytes:
        fault = f"allows {channel.max_bytes:,} bytes, the image has {lightest:,} at the lowest quality"
        advice = "change its format or its size"
    else:
        fault = f"needs a white background, {channel.format} does not keep it at quality {channel.quality} or below"
        advice = "raise its quality, or change its format"
    raise Rejected(Reason.FINISH_FAILED, f"channel {channel.name} {fault}: {advice}")


def _stays_white(data: bytes, product: Bools) -> bool:
    """Whether the file, decoded again, is exactly white wherever no coding block touches the product."""
    near = cv2.dilate(product.astype(np.uint8), np.ones((33, 33), np.uint8)).astype(bool)
    with Image.open(io.BytesIO(data)) as image:
        decoded = np.asarray(image.convert("RGB"))
    return bool((decoded[~near] == 255).all())


def _encode(rgb: Rgb, channel: Channel, quality: int, marks: Marks) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(rgb))
    packet, buffer = xmp_packet(marks), io.BytesIO()
    if channel.format == "png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        image.save(buffer, "PNG", compress_level=6, pnginfo=info, icc_profile=_SRGB_PROFILE)
    elif channel.format == "webp":
        image.save(buffer, "WEBP", quality=quality, method=4, xmp=packet, icc_profile=_SRGB_PROFILE)
    else:
        # Full chroma on white, where a colour fringe beside the product would show. No `optimize`: with it Pillow's
        # encoder fails on pictures as busy as noise.
        chroma = "4:4:4" if channel.white_background or quality >= 90 else "4:2:0"
        image.save(buffer, "JPEG", quality=quality, subsampling=chroma, xmp=packet, icc_profile=_SRGB_PROFILE)
    return buffer.getvalue()


def _srgb_profile() -> bytes:
    """LittleCMS's sRGB profile, its date of creation blanked: the same bytes on every day."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes.fromhex("07ea00010001000000000000")  # 2026-01-01
    return bytes(profile)


_SRGB_PROFILE = _srgb_profile()
