"""Drawn products whose true mask and colours are known."""

import io
import struct

import cv2
import numpy as np
import pillow_heif
import tifffile
from PIL import Image, ImageDraw, ImageFont

from tasks.imaging.pixels import Mask, Rgb

INK_LOOKS = ((58, -30, -40), (50, 66, -3), (92, -5, 80), (17, 0, 0))  # cyan, magenta, yellow, black on paper: CIE Lab

pillow_heif.register_heif_opener()


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, photometric: str = "rgb", **options: object) -> bytes:
    """A TIFF as another library than Pillow writes it: of more kinds, and none of its faults."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric=photometric, **options)
    return buffer.getvalue()


def ink_profile() -> bytes:
    """A CMYK profile with the least that ICC.1 asks for: a table of what each mixture of full inks looks like."""
    looks = []
    for mixture in np.ndindex(2, 2, 2, 2):
        used = np.array(INK_LOOKS)[np.array(mixture, bool)]
        hue = used[:, 1:].sum(axis=0) * (0.1 if mixture[3] else 1)
        looks += [round(255 * np.prod(used[:, 0] / 100)), *np.rint(np.clip(hue + 128, 0, 255)).astype(int).tolist()]
    unit, ramp = struct.pack(">9i", *(65536 * np.eye(3, dtype=int).ravel())), bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + unit + ramp * 4 + bytes(looks) + ramp * 3
    white = struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"A2B0": table, b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks" + bytes(79)}
    tags[b"wtpt"] = b"XYZ " + bytes(4) + white
    listed, body, begin = b"", b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        listed += struct.pack(">4sII", name, begin + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI12s", begin + len(body), b"none", 0x02100000, b"prtrCMYKLab ")
    head = (head.ljust(36, b"\0") + b"acsp").ljust(68, b"\0") + white
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + listed + body


def gradient(height: int = 60, width: int = 90) -> Rgb:
    """Smooth, and different in every corner, so that turns and colour errors show."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([230 * x, 200 * y, 240 - 200 * x * y], axis=-1).astype(np.uint8)


def mug(
    side: int = 256,
    colour: tuple[int, int, int] = (170, 40, 50),
    backdrop: tuple[int, int, int] = (205, 208, 212),
    noise: float = 3.0,
) -> tuple[Rgb, Mask]:
    """A mug with a white label and a dark emblem on a lit backdrop with a floor, and its exact mask."""
    scale = 4
    big = side * scale
    mask = Image.new("L", (big, big))
    pen = ImageDraw.Draw(mask)
    box = [big * part for part in (0.28, 0.25, 0.66, 0.8)]
    pen.rounded_rectangle([int(value) for value in box], radius=big // 20, fill=255)
    pen.arc([int(big * part) for part in (0.55, 0.36, 0.82, 0.66)], -100, 100, fill=255, width=big // 22)
    alpha = np.asarray(mask.resize((side, side), Image.Resampling.BOX), dtype=np.float32) / 255.0

    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    shade = (0.75 + 0.5 * np.exp(-(((x - 0.4) / 0.12) ** 2)))[..., None]
    product = np.clip(np.array(colour) * shade, 0, 255)
    label = (abs(x - 0.47) < 0.1) & (abs(y - 0.52) < 0.12)
    emblem = (x - 0.47) ** 2 + (y - 0.52) ** 2 < 0.05**2
    product = np.where(label[..., None], 238.0, product)
    product = np.where(emblem[..., None], 24.0, product)
    background = np.array(backdrop) * (1.0 - 0.12 * (y > 0.7) - 0.06 * y)[..., None]
    rgb = background + (product - background) * alpha[..., None]
    rgb += np.random.default_rng(7).normal(0, noise, rgb.shape)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8), alpha


def labelled(rgb: Rgb, *lines: str) -> Rgb:
    """The mug with a band of white paper around it, on which the lines are printed."""
    image = Image.fromarray(rgb)
    pen, side = ImageDraw.Draw(image), rgb.shape[0]
    pen.rectangle((side * 0.29, side * 0.42, side * 0.65, side * 0.68), fill=(240, 238, 230))
    for number, line in enumerate(lines):
        place = side * 0.47, side * (0.5 + 0.09 * number)
        pen.text(place, line, (30, 30, 40), ImageFont.load_default(side * 0.06), anchor="mm")
    return np.asarray(image)


def melted(rgb: Rgb, by: float) -> Rgb:
    """The picture with its pixels moved by `by` pixels or so, each as its neighbours."""
    rng, (height, width) = np.random.default_rng(0), rgb.shape[:2]
    row, column = np.mgrid[:height, :width].astype(np.float32)
    moves = [cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 4) for _ in range(2)]
    right, down = (move / move.std() * by for move in moves)
    return cv2.remap(rgb, column + right, row + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def wooden_table(side: int = 256) -> Rgb:
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    grain = np.random.default_rng(3).normal(0, 5, (side, 1, 1))
    wall = np.stack([220 - 20 * y, 214 - 18 * y, 200 - 20 * y], axis=-1)
    table = np.stack([165 + 25 * x, 118 + 20 * x, 80 + 10 * x], axis=-1) + grain
    return np.clip(np.where((y > 0.6)[..., None], table, wall), 0, 255).astype(np.uint8)


def overlap(mask_a: Mask, mask_b: Mask) -> float:
    return float(np.minimum(mask_a, mask_b).sum() / np.maximum(mask_a, mask_b).sum())
