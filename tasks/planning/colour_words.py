"""Which colour a catalog says that a product has: "Navy blue" is a navy, and "Charcoal Heather / White" a charcoal."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources

from catalog_schemas.product import Product
from configs.entries import Colour
from configs.hex_colours import hex_colour
from configs.reading import read_yaml

_APART = re.compile(r"[/|,;&+]|\s-\s|\s(?:and|with|und|mit|et|avec|y|con|e|en|met)\s")
_BESIDES = re.compile(r"[([]|\s(?:with|w/|mit|avec|con|met|med)\s")  # begins what a product has besides
_LETTERS = re.compile(r"[^\W\d_]+")
_LONGEST = 4  # words, of a colour's name in a title


class ColourWords:
    """Words for colours: those of the library, and those of `configs/colour_words.yaml`."""

    def __init__(self, colours: Mapping[str, Colour]) -> None:
        own = {word: one.hex for one in colours.values() for word in (one.title, one.name) if one.hex}
        shops = {word: meant if meant.startswith("#") else own.get(meant, "") for word, meant in _shops_words().items()}
        self._meant = {_joined(word): meant for word, meant in (shops | own).items() if meant}

    def of_product(self, product: Product, attributes: tuple[str, ...]) -> str:
        """The hex code of its colour: the one that the first of these attributes names or else its title; or ""."""
        return self.hex_of(product.in_words(attributes)) or self.in_title(product.title, product.class_noun)

    def in_title(self, title: str, class_noun: str) -> str:
        """The hex code of the only colour that the title names of the product, or "".

        What it has besides does not count, "with blue dots", nor does its class noun: a rose is of any colour. Of parts
        as in `hex_of` the first counts that names a colour, and it says nothing where it names two.
        """
        of_product = _BESIDES.split(title.lower())[0].replace(class_noun.lower(), " ")
        for part in _APART.split(of_product):
            named = set(self._named(_LETTERS.findall(part)))
            if named:
                return named.pop() if len(named) == 1 else ""
        return ""

    def _named(self, words: list[str]) -> Iterator[str]:
        """The colours in these words, each by its longest name; of some in a row, as in "navy blue", the first."""
        at, goes_on = 0, False
        while at < len(words):
            ends = range(min(at + _LONGEST, len(words)), at, -1)
            end = next((end for end in ends if "".join(words[at:end]) in self._meant), 0)
            if end and not goes_on:
                yield self._meant["".join(words[at:end])]
            at, goes_on = end or at + 1, bool(end)

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
