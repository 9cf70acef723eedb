"""Colours that a matrix names, by the library's names or by hex codes of one's own, as entries."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

import numpy as np

from configs.entries import Background, Colour
from configs.library import Library
from tasks.imaging.colour import rgb_of, to_oklab

Entry = TypeVar("Entry", Background, Colour)
_WEIGHTS = 0.4, 1.0, 1.0  # of lightness, a and b: a pale green is called green before it is called white


def colours_named(names: Iterable[str], library: Library) -> list[Colour]:
    """The colours of these names and hex codes, each once.

    A code that an entry has is that entry. Another, "#1a7f5a", is named "hex-1a7f5a", and its title, for prompts, is
    that of the library's nearest colour.
    """
    return _named(Colour, names, library.colours, _titles(library.colours))


def backgrounds_named(names: Iterable[str], library: Library) -> list[Background]:
    """Likewise, titled as the nearest colour or plain background."""
    return _named(Background, names, library.backgrounds, _titles(library.backgrounds) + _titles(library.colours))


def word_for(colour: Colour) -> str:
    """What an alt text calls a colour of one's own; empty for an entry, which it calls by its name."""
    return colour.title.lower() if colour.hex and colour.name == _name(colour.hex) else ""


def _named(
    kind: type[Entry], names: Iterable[str], entries: Mapping[str, Entry], titles: tuple[tuple[str, str], ...]
) -> list[Entry]:
    by_hex = {entry.hex: entry for entry in reversed(list(entries.values()))}  # of two the first
    found = (
        entries.get(name) or by_hex.get(name) or kind(name=_name(name), title=_nearest(name, titles), hex=name)
        for name in names
    )
    return list({entry.name: entry for entry in found}.values())


def _name(hexadecimal: str) -> str:
    return f"hex-{hexadecimal.removeprefix('#')}"


def _titles(entries: Mapping[str, Colour] | Mapping[str, Background]) -> tuple[tuple[str, str], ...]:
    return tuple((entry.title, entry.hex) for entry in entries.values() if entry.hex)


@lru_cache(1000)  # each product of a plan asks for the same
def _nearest(hexadecimal: str, titles: tuple[tuple[str, str], ...]) -> str:
    """The title whose colour differs least in OKLab, and less by lightness than by hue and chroma."""
    known = to_oklab(np.array([rgb_of(one) for _, one in titles], np.uint8))
    own = to_oklab(np.array(rgb_of(hexadecimal), np.uint8))
    return titles[int(np.linalg.norm((known - own) * _WEIGHTS, axis=1).argmin())][0]
