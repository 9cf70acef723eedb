"""The views behind the product: rooms, gardens, beaches and seasons, painted out of focus."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from infra.demo.stage import VIEW

SCALE = 32  # pixels per world unit

Rgb = tuple[int, int, int]


def rgb(hex_colour: str) -> Rgb:
    """An sRGB hex colour as three bytes."""
    return int(hex_colour[1:3], 16), int(hex_colour[3:5], 16), int(hex_colour[5:7], 16)


def mix(a: str, b: str, share: float) -> str:
    """The colour a share of the way from a to b."""
    return "#" + "".join(f"{round(p + (q - p) * share):02x}" for p, q in zip(rgb(a), rgb(b), strict=True))


class Canvas:
    """A wall to paint on in world units: x from -3.2 to 3.2, y from -1.6 to 4; the table top is at y = 0."""

    def __init__(self, rng: np.random.Generator, top: str, bottom: str | None = None) -> None:
        self.rng = rng
        width, height, self.low = VIEW
        self.size = (int(width * SCALE), int(height * SCALE))
        ramp = np.linspace(0, 1, self.size[1])[:, None, None]
        pixels = np.array(rgb(top)) * (1 - ramp) + np.array(rgb(bottom or top)) * ramp
        self.image = Image.fromarray(np.broadcast_to(pixels, (self.size[1], self.size[0], 3)).astype(np.uint8))
        self.pen = ImageDraw.Draw(self.image)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """World (x, y) in pixels."""
        return x * SCALE + self.size[0] / 2, self.size[1] - (y - self.low) * SCALE

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: str, rounding: float = 0.0) -> None:
        """A filled rectangle from (x0, y0) up to (x1, y1)."""
        (a, b), (c, d) = self.at(x0, y1), self.at(x1, y0)
        self.pen.rounded_rectangle((a, b, max(c, a + 1), max(d, b + 1)), rounding * SCALE, fill=colour)

    def disc(self, x: float, y: float, rx: float, colour: str, ry: float | None = None) -> None:
        """A filled ellipse about (x, y)."""
        (a, b), (c, d) = self.at(x - rx, y + (ry or rx)), self.at(x + rx, y - (ry or rx))
        self.pen.ellipse((a, b, c, d), fill=colour)

    def blobs(self, count: int, y: tuple[float, float], size: tuple[float, float], colours: list[str]) -> None:
        """Scattered discs: leaves, blossom or lights out of focus."""
        for _ in range(count):
            place = self.rng.uniform(-2.6, 2.6), self.rng.uniform(*y)
            self.disc(*place, self.rng.uniform(*size), str(self.rng.choice(colours)))

    def finish(self, blur: float, light: float = 1.0) -> Tensor:
        """The painting in linear light (3, h, w), blurred by `blur` world units."""
        image = self.image.filter(ImageFilter.GaussianBlur(blur * SCALE))
        srgb = np.asarray(image, np.float32) / 255.0
        return torch.from_numpy(np.ascontiguousarray((srgb**2.2 * light).transpose(2, 0, 1)))


def _paper(rng: np.random.Generator, colour: str) -> Canvas:
    canvas = Canvas(rng, mix(colour, "#ffffff", 0.06), mix(colour, "#000000", 0.04))
    side = rng.choice([-1, 1])
    canvas.disc(side * 1.2, 1.6, 2.2, mix(colour, "#ffffff", 0.12))
    return canvas


def kitchen(rng: np.random.Generator) -> Tensor:
    """Tiles, a shelf with crockery, cupboards and a window."""
    tile = str(rng.choice(["#f3f0ea", "#e4ebe8", "#dfe8ee", "#f0e6d4"]))
    canvas = Canvas(rng, tile)
    for i in range(-9, 10):
        canvas.rect(i * 0.36 - 0.02, -0.4, i * 0.36 + 0.02, 1.3, mix(tile, "#8a8a88", 0.35))
        canvas.rect(-3.2, i * 0.24 + 0.62, 3.2, i * 0.24 + 0.65, mix(tile, "#8a8a88", 0.35))
    door = str(rng.choice(["#7fa08a", "#5c7f96", "#e9e4d8", "#b98b5a"]))
    for x in (-2.6, -1.3, 0.0, 1.3):
        canvas.rect(x, 1.55, x + 1.22, 3.2, door)
        canvas.rect(x + 0.56, 1.62, x + 0.66, 1.72, "#d9c08a")
    side = float(rng.choice([-1, 1]))
    canvas.rect(side * 1.0 - 0.45, 0.15, side * 1.0 + 0.45, 1.2, "#fbfaf2")
    canvas.rect(side * 1.0 - 0.4, 0.2, side * 1.0 + 0.4, 1.15, "#dff0fb")
    canvas.rect(side * 1.0 - 0.03, 0.2, side * 1.0 + 0.03, 1.15, "#fbfaf2")
    for x in (-0.9, -0.55, -0.2):
        colour = str(rng.choice(["#c9543a", "#e3b23c", "#4f7f63", "#d8d2c6", "#6d4a33"]))
        canvas.rect(-side * 0.2 + x * side, 0.0, -side * 0.2 + x * side + 0.22, rng.uniform(0.35, 0.7), colour, 0.05)
    return canvas.finish(0.06, 0.95)


def living_room(rng: np.random.Generator) -> Tensor:
    """A painted wall, a sofa, a picture, a plant and a floor lamp."""
    wall = str(rng.choice(["#d9cdbb", "#c3ccc4", "#cfc6c9", "#e5ddd0", "#a9b5b8"]))
    canvas = Canvas(rng, wall, mix(wall, "#000000", 0.12))
    side = float(rng.choice([-1, 1]))
    sofa = str(rng.choice(["#6d7f8c", "#a9744f", "#5d7061", "#b5605a", "#8b8178"]))
    canvas.rect(-1.5 + side * 0.4, -1.2, 1.5 + side * 0.4, 0.42, mix(sofa, "#000000", 0.1), 0.2)
    for x in (-0.75, 0.0, 0.75):
        canvas.rect(x - 0.36 + side * 0.4, -0.25, x + 0.36 + side * 0.4, 0.3, sofa, 0.12)
    canvas.rect(-side * 0.2 - 0.4, 0.75, -side * 0.2 + 0.4, 1.5, "#f6f3ea")
    art = str(rng.choice(["#d98b5f", "#6b8fa8", "#d9b44a", "#8aa37b"]))
    canvas.disc(-side * 0.2, 1.1, 0.22, art)
    canvas.rect(side * 1.35 - 0.02, 0.0, side * 1.35 + 0.02, 1.1, "#3a3430")
    canvas.disc(side * 1.35, 1.15, 0.3, "#fff0c4", 0.22)
    for _ in range(9):
        canvas.disc(
            -side * 1.35 + rng.normal(0, 0.17),
            0.55 + rng.normal(0, 0.22),
            0.15,
            str(rng.choice(["#4e7a4a", "#6b9560"])),
            0.07,
        )
    return canvas.finish(0.07, 0.85)


def bathroom(rng: np.random.Generator) -> Tensor:
    """Square tiles, a round mirror and a towel."""
    tile = str(rng.choice(["#cfe6e6", "#bcdcea", "#e6efee", "#c8e2d4"]))
    canvas = Canvas(rng, mix(tile, "#ffffff", 0.35))
    for i in range(-10, 11):
        for j in range(-5, 13):
            canvas.rect(
                i * 0.31, j * 0.31, i * 0.31 + 0.28, j * 0.31 + 0.28, mix(tile, "#7fb0b8", float(rng.uniform(0, 0.22)))
            )
    side = float(rng.choice([-1, 1]))
    canvas.disc(-side * 0.55, 1.15, 0.56, "#cdb37c")
    canvas.disc(-side * 0.55, 1.15, 0.52, "#f0f7f9")
    towel = str(rng.choice(["#f7f5f0", "#d98f7c", "#5e8ea1", "#e3c97a"]))
    canvas.rect(side * 1.0 - 0.28, 0.1, side * 1.0 + 0.28, 1.2, towel, 0.04)
    canvas.rect(side * 1.0 - 0.28, 0.32, side * 1.0 + 0.28, 0.4, mix(towel, "#ffffff", 0.5))
    return canvas.finish(0.04, 0.95)


def bedroom(rng: np.random.Generator) -> Tensor:
    """A headboard, pillows and a soft wall."""
    wall = str(rng.choice(["#dcd3dc", "#c9d3de", "#e9ddd2"]))
    canvas = Canvas(rng, wall, mix(wall, "#ffffff", 0.2))
    canvas.rect(-1.9, -0.6, 1.9, 0.85, str(rng.choice(["#9a7656", "#7d8794", "#b7a48f"])), 0.1)
    for x in (-1.1, 0.0, 1.1):
        canvas.rect(x - 0.5, -0.1, x + 0.5, 0.5, str(rng.choice(["#ffffff", "#f1e3dd", "#c5cfdd"])), 0.2)
    canvas.rect(-3.2, -1.6, 3.2, 0.05, "#f6f3ef")
    return canvas.finish(0.1, 0.92)


def office(rng: np.random.Generator) -> Tensor:
    """A screen, a pin board and binders."""
    canvas = Canvas(rng, "#dfe3e6", "#c9cfd4")
    side = float(rng.choice([-1, 1]))
    canvas.rect(-side * 0.6 - 0.75, 0.2, -side * 0.6 + 0.75, 1.15, "#24272c", 0.05)
    canvas.rect(-side * 0.6 - 0.7, 0.27, -side * 0.6 + 0.7, 1.1, str(rng.choice(["#7fb0dc", "#4d6d8f", "#9bc3b8"])))
    canvas.rect(-side * 0.6 - 0.08, -0.2, -side * 0.6 + 0.08, 0.2, "#3a3d42")
    for i in range(5):
        colour = str(rng.choice(["#d0573f", "#3f6fb0", "#e2b544", "#57906b", "#efefef"]))
        canvas.rect(side * 0.75 + i * 0.17 - 0.3, -0.2, side * 0.75 + i * 0.17 - 0.16, 0.65, colour)
    return canvas.finish(0.07, 0.9)


def cafe(rng: np.random.Generator) -> Tensor:
    """A dim room full of warm lights out of focus."""
    canvas = Canvas(rng, "#3b2a22", "#5a3d2b")
    canvas.rect(-3.2, -0.4, 3.2, 0.35, "#4a3023")
    canvas.blobs(26, (0.2, 2.4), (0.06, 0.17), ["#ffcf7d", "#ffb057", "#ffe6b0", "#e98a44"])
    return canvas.finish(0.035, 1.0)


def shelf_wall(rng: np.random.Generator) -> Tensor:
    """A painted wall with books standing on the shelf."""
    wall = str(rng.choice(["#d7e0dd", "#e8dccb", "#cbd5e1", "#e3cfc6", "#8fa39a"]))
    canvas = Canvas(rng, wall, mix(wall, "#000000", 0.06))
    for side in (-1, 1):
        x = side * rng.uniform(0.75, 0.95)
        for _ in range(6):
            width, tall = rng.uniform(0.08, 0.16), rng.uniform(0.5, 0.95)
            colour = str(rng.choice(["#b8452f", "#2f5f86", "#e0b04a", "#4f7d5c", "#efe9dc", "#6b4a7a", "#2b2d33"]))
            canvas.rect(min(x, x + side * width), -0.1, max(x, x + side * width), tall, colour)
            x += side * (width + 0.01)
    canvas.rect(-3.2, 1.7, 3.2, 1.85, "#a87845")
    return canvas.finish(0.045, 0.92)


def garden(rng: np.random.Generator) -> Tensor:
    """Hedges and flowers under a blue sky."""
    canvas = Canvas(rng, "#7fb8ec", "#d9eefb")
    canvas.blobs(5, (1.9, 3.2), (0.3, 0.6), ["#ffffff", "#f2f8fd"])
    canvas.blobs(44, (-0.6, 0.75), (0.2, 0.42), ["#3f7d36", "#56964a", "#2f6a2e", "#7ab05c"])
    flowers = [["#f2d43f", "#f7f3ea"], ["#e2557c", "#f3a5bd"], ["#8a5fc4", "#f3e9ff"]][int(rng.integers(3))]
    canvas.blobs(26, (-0.3, 0.7), (0.03, 0.08), flowers)
    return canvas.finish(0.06, 1.0)


def beach(rng: np.random.Generator) -> Tensor:
    """Sea and sky over sand."""
    canvas = Canvas(rng, "#5fb2ea", "#cfeefb")
    canvas.blobs(4, (1.8, 3.0), (0.25, 0.6), ["#ffffff"])
    horizon = rng.uniform(0.35, 0.6)
    canvas.rect(-3.2, -1.6, 3.2, horizon, "#1f86b4")
    canvas.rect(-3.2, -1.6, 3.2, horizon - 0.22, "#35abc6")
    canvas.rect(-3.2, -1.6, 3.2, 0.06, "#f4fbfb")
    canvas.rect(-3.2, -1.6, 3.2, -0.02, "#e6cf9f")
    return canvas.finish(0.04, 1.0)


def sunset(rng: np.random.Generator) -> Tensor:
    """A low sun over dark hills."""
    canvas = Canvas(rng, "#6a5aa8", "#ffb25e")
    canvas.rect(-3.2, 0.55, 3.2, 1.1, "#f78f5a")
    x = rng.uniform(-0.8, 0.8)
    canvas.disc(x, 0.72, 0.52, "#ffd27a")
    canvas.disc(x, 0.72, 0.26, "#fff3c9")
    for _ in range(5):
        canvas.disc(rng.uniform(-2.5, 2.5), -0.2, rng.uniform(0.8, 1.4), "#4a2f4e", rng.uniform(0.35, 0.7))
    return canvas.finish(0.09, 1.0)


def autumn(rng: np.random.Generator) -> Tensor:
    """Red and golden trees."""
    canvas = Canvas(rng, "#e6c68e", "#c98a4a")
    for _ in range(5):
        x = rng.uniform(-2.4, 2.4)
        canvas.rect(x, -1, x + 0.14, 3, "#5a3a26")
    canvas.blobs(70, (-0.5, 2.4), (0.1, 0.3), ["#d9782d", "#b8421f", "#eab13c", "#8f3a1e", "#e09a3a"])
    return canvas.finish(0.06, 0.9)


def forest(rng: np.random.Generator) -> Tensor:
    """Trunks and green leaves."""
    canvas = Canvas(rng, "#a9c9a0", "#4f7a4c")
    for _ in range(7):
        x = rng.uniform(-2.4, 2.4)
        canvas.rect(x, -1, x + rng.uniform(0.12, 0.26), 3, str(rng.choice(["#4b3a2c", "#5e4a38"])))
    canvas.blobs(36, (0.6, 2.6), (0.14, 0.34), ["#3f6e3c", "#6a9a55", "#8dbb6a", "#2f5a34"])
    return canvas.finish(0.06, 0.8)


def spring(rng: np.random.Generator) -> Tensor:
    """Cherry blossom against a pale sky."""
    canvas = Canvas(rng, "#bfe0f5", "#eaf6fb")
    for _ in range(4):
        x, y = rng.uniform(-2, 2), rng.uniform(0.2, 1.2)
        canvas.pen.line([canvas.at(x, y), canvas.at(x + rng.uniform(-1.6, 1.6), y + 1.2)], fill="#6d4a44", width=3)
    canvas.blobs(80, (-0.2, 2.4), (0.06, 0.2), ["#f6a9c4", "#fbd3e0", "#f28fb2", "#ffffff"])
    return canvas.finish(0.045, 1.0)


def winter(rng: np.random.Generator) -> Tensor:
    """Snowy firs in a pale light."""
    canvas = Canvas(rng, "#a9c4dc", "#eef4f9")
    for _ in range(8):
        x, tall = rng.uniform(-2.4, 2.4), rng.uniform(0.9, 1.8)
        for k in range(3):
            wide, base = 0.42 - 0.1 * k, -0.1 + tall * 0.27 * k
            corners = [canvas.at(x - wide, base), canvas.at(x + wide, base), canvas.at(x, base + tall * 0.45)]
            canvas.pen.polygon(corners, fill="#4f7480")
            canvas.pen.polygon(
                [
                    canvas.at(x - wide * 0.5, base + tall * 0.22),
                    canvas.at(x + wide * 0.5, base + tall * 0.22),
                    corners[2],
                ],
                fill="#f4f8fb",
            )
    canvas.blobs(30, (-0.2, 2.5), (0.02, 0.05), ["#ffffff"])
    return canvas.finish(0.05, 1.0)


def christmas(rng: np.random.Generator) -> Tensor:
    """A fir tree with baubles and warm lights."""
    canvas = Canvas(rng, "#16351f", "#1f4a2b")
    canvas.blobs(60, (-0.6, 2.6), (0.12, 0.3), ["#1c4427", "#2b6138", "#123019"])
    canvas.blobs(12, (0.0, 2.2), (0.1, 0.15), ["#c01f2a", "#d8343c", "#d9a93c"])
    canvas.blobs(34, (-0.1, 2.4), (0.03, 0.08), ["#ffe3a0", "#ffd070", "#fff4d0"])
    return canvas.finish(0.035, 1.0)


def night(rng: np.random.Generator) -> Tensor:
    """City lights out of focus."""
    canvas = Canvas(rng, "#0e1630", "#25305a")
    canvas.blobs(34, (-0.1, 1.7), (0.06, 0.15), ["#ffd27a", "#ff8a5c", "#7fc4ff", "#ff6f9f", "#fff3d0"])
    return canvas.finish(0.03, 0.9)


def paper(colour: str, light: float = 1.0) -> Callable[[np.random.Generator], Tensor]:
    """A seamless paper wall in one colour."""
    return lambda rng: _paper(rng, colour).finish(0.4, light)


def bricks(rng: np.random.Generator) -> Tensor:
    """A brick wall, red or whitewashed."""
    base = str(rng.choice(["#a5573d", "#e6e2da"]))
    canvas = Canvas(rng, mix(base, "#cfc8bc", 0.5))
    for j in range(-6, 16):
        for i in range(-9, 9):
            x, y = i * 0.42 + (j % 2) * 0.21, j * 0.2
            canvas.rect(x, y, x + 0.39, y + 0.175, mix(base, "#402018", float(rng.uniform(0, 0.18))))
    return canvas.finish(0.03, 0.85)


def plaster(colour: str) -> Callable[[np.random.Generator], Tensor]:
    """A plastered wall with light clouds."""

    def paint(rng: np.random.Generator) -> Tensor:
        canvas = Canvas(rng, colour, mix(colour, "#000000", 0.08))
        canvas.blobs(40, (-1.0, 3.0), (0.2, 0.6), [mix(colour, "#ffffff", 0.08), mix(colour, "#000000", 0.07), colour])
        return canvas.finish(0.16, 0.85)

    return paint
