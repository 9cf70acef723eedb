"""Which colour a catalog's words mean: "Navy blue" is a navy, and "Charcoal Heather / White" a charcoal."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources

from configs.entries import Colour
from configs.hex_colours import hex_colour
from configs.reading import read_yaml

_APART = re.compile(r"[/|,;&+]|\s-\s|\s(?:and|with|und|mit|et|avec|y|con|e|en|met)\s")
_LETTERS = re.compile(r"[^\W\d_]+")


class ColourWords:
    """Words for colours: those of the library, and those of `configs/colour_words.yaml`."""

    def __init__(self, colours: Mapping[str, Colour]) -> None:
        own = {word: one.hex for one in colours.values() for word in (one.title, one.name) if one.hex}
        shops = {word: meant if meant.startswith("#") else own.get(meant, "") for word, meant in _shops_words().items()}
        self._meant = {_joined(word): meant for word, meant in (shops | own).items() if meant}

    def hex_of(self, text: str) -> str:
        """The hex code of the colour that is named first, or "" where no word is known to be one.

        Of several words of a part the longest run counts that is a name, and of such runs the first: the adjective
        tells more than its noun does. A hex code is taken as it is.
        """
        parts = (part.strip() for part in _APART.split(text.lower()))
        return next(filter(None, map(self._hex_of_part, parts)), "")

    def _hex_of_part(self, part: str) -> str:
        if part.startswith("#"):
            try:
                return hex_colour(part)
            except ValueError:
                return ""
        return next((self._meant[run] for run in _runs(_LETTERS.findall(part)) if run in self._meant), "")


def _runs(words: list[str]) -> Iterator[str]:
    """All words, then all runs of one less, down to each by itself; without the spaces between."""
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            yield "".join(words[start : start + length])


def _joined(name: str) -> str:
    return "".join(_LETTERS.findall(name.lower()))


@cache
def _shops_words() -> dict[str, str]:
    """Each with a hex code, or with the name of a colour of the shipped library."""
    faults: list[str] = []
    words = read_yaml(resources.files("configs") / "colour_words.yaml", faults)
    assert words is not None, faults
    return words
