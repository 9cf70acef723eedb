"""From a shop's category to the class noun that a person would use: "Clothing > Shoes > Sneakers" is a sneaker.

The mapping is `class_nouns.yaml` beside this file; a user's own file of that shape adds to it and overrides it. A
wrong noun ruins an adapter, so what is not known stays empty:

1. An entry whose words are the category's last part, "Sneakers", or that part within its parents, "Eyewear > Glasses".
   Words that tell for whom, when or in which colour ("Women's", "Sale") are looked through, and a part made only of
   them gives way to its parent.
2. Else the last part's own words in the singular, "Bike Lights" to "bike light", if they name one kind of thing: a
   plural, or a phrase that ends in a known noun, and nothing vague such as "Accessories" or "A & B".
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from catalog_schemas.errors import ConfigError
from configs.english import singular
from configs.reading import read_yaml, validated

NOUN_MAXIMUM = 80
CATEGORY_MAXIMUM = 2_000
ANSWERS_KEPT = 10_000
_LEVELS = re.compile(r"\s*(?:>|»|›|\||/|::|→)\s*")
_APART = re.compile(r"\s*(?:,|&|\+|;)\s*|\s+and\s+|\s+or\s+")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_POSSESSIVE = re.compile(r"['’]s?$")
_PREPOSITIONS = frozenset({"for", "with", "without", "of", "by", "in", "on", "to", "from", "under", "over"})
Phrase = tuple[str, ...]
How = Literal["mapped", "inferred", "unknown"]


class NounsFile(BaseModel):
    """A file of class nouns. An empty noun means: this category gives none, whatever its words."""

    model_config = ConfigDict(extra="forbid")

    nouns: dict[str | int, str] = Field(default_factory=dict)
    looked_through: list[str] = Field(default_factory=list)
    vague: list[str] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Noun:
    """A class noun, or "" where none is known, and how it was found in which category."""

    text: str
    how: How
    category: str = ""


class ClassNouns:
    """The mapping, ready to be asked."""

    def __init__(self, files: Iterable[NounsFile]) -> None:
        self._entries: dict[Phrase, list[tuple[tuple[Phrase, ...], str]]] = {}
        self._through: set[str] = set()
        self._vague: set[str] = set()
        self._answers: dict[tuple[tuple[str, ...], str], Noun] = {}
        nouns: dict[tuple[Phrase, ...], str] = {}
        for file in files:
            self._through |= {word for text in file.looked_through for word in _phrase(text)}
            self._vague |= {word for text in file.vague for word in _phrase(text)}
            nouns |= {tuple(_phrase(part) for part in _levels(str(key))): noun for key, noun in file.nouns.items()}
        for path, noun in nouns.items():
            self._entries.setdefault(path[-1], []).append((path[:-1], noun))
        for entries in self._entries.values():
            entries.sort(key=lambda entry: -len(entry[0]))
        self._heads = {singular(noun.split()[-1]) for noun in nouns.values() if noun} - self._vague

    def noun_for(self, categories: Sequence[str], title: str = "") -> Noun:
        """The noun of a product; of its categories those that tell more of what it is come first.

        A mapped category wins over one that only speaks for itself, and a later one over an earlier one if it goes on
        where that one ends: "Shoes", then "Apparel > Shoes > Sneakers". `title` decides between the halves of a
        category such as "Cups & Mugs".
        """
        asked = (tuple(categories), title if any(map(_APART.search, categories)) else "")
        if asked not in self._answers:
            if len(self._answers) >= ANSWERS_KEPT:
                self._answers.clear()
            self._answers[asked] = self._noun_of_any(*asked)
        return self._answers[asked]

    def _noun_of_any(self, categories: Sequence[str], title: str) -> Noun:
        best = Noun("", "unknown", next(filter(None, categories), ""))
        for category in categories:
            noun = self._noun(category, title)
            better = (best.how, noun.how) in {("unknown", "mapped"), ("unknown", "inferred"), ("inferred", "mapped")}
            if better or (best.how == noun.how == "mapped" and best.text in self._ancestors(category)):
                best = noun
        return best

    def _noun(self, category: str, title: str) -> Noun:
        parents = self._parts(category)
        while parents:
            text, words = parents.pop()
            found = self._halves(text, parents, title) or self._entry(words, parents)
            if found is not None:
                return Noun(found, "mapped" if found else "unknown", category)
            if any(word not in self._through for word in words):
                inferred = self._inferred(text)
                return Noun(inferred, "inferred" if inferred else "unknown", category)
        return Noun("", "unknown", category)

    def _parts(self, category: str) -> list[tuple[str, Phrase]]:
        parts = ((part, _phrase(part)) for part in _levels(category[:CATEGORY_MAXIMUM]))
        return [(part, words) for part, words in parts if words]

    def _entry(self, words: Phrase, parents: list[tuple[str, Phrase]]) -> str | None:
        """The noun of the entry with these words and the most parents of its own among `parents`."""
        above = [{parent, self._telling(parent)} for _, parent in parents]
        for form in dict.fromkeys((words, self._telling(words))):
            for path, noun in self._entries.get(form, ()) if form else ():
                if _is_within(path, above):
                    return noun
        return None

    def _halves(self, text: str, parents: list[tuple[str, Phrase]], title: str) -> str | None:
        """Of a part such as "Cups & Mugs" the one half that the title names."""
        halves = _APART.split(text)
        if len(halves) < 2:
            return None
        words = _phrase(title)
        nouns = {noun for half in halves if (noun := self._entry(_phrase(half), parents))}
        named = {noun for noun in nouns if _is_in(_phrase(noun), words)}
        longest = {noun for noun in named if not any(noun != other and noun in other for other in named)}
        return longest.pop() if len(longest) == 1 else None

    def _inferred(self, text: str) -> str:
        if _APART.search(text) or not all(letter.isalpha() or letter in " '’-" for letter in text):
            return ""
        words = [_POSSESSIVE.sub("", word) for word in _WORD.findall(text.lower())]
        if _PREPOSITIONS & set(words):
            return ""
        words = [word for word in words if singular(word) not in self._through]
        if not 1 <= len(words) <= 3 or any(singular(word) in self._vague for word in words):
            return ""
        head = singular(words[-1])
        if head == words[-1] and head not in self._heads:
            return ""
        return " ".join((*words[:-1], head)) if len(head) > 2 else ""

    def _ancestors(self, category: str) -> set[str]:
        parts = self._parts(category)[:-1]
        return {noun for at, (_, words) in enumerate(parts) if (noun := self._entry(words, parts[:at]))}

    def _telling(self, words: Phrase) -> Phrase:
        return tuple(word for word in words if word not in self._through)


def load_class_nouns(*files: str | Path) -> ClassNouns:
    """The shipped mapping with the entries of `files`, a later one overriding an earlier one.

    Raises ConfigError with every fault of every file.
    """
    faults: list[str] = []
    own = [_file(Path(file), faults) for file in files]
    if faults:
        raise ConfigError("The class nouns cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return ClassNouns([_shipped(), *own])


@cache
def _shipped() -> NounsFile:
    faults: list[str] = []
    file = _file(resources.files("configs") / "class_nouns.yaml", faults)
    assert not faults, faults
    return file


def _file(source: Traversable, faults: list[str]) -> NounsFile:
    values = read_yaml(source, faults) or {}
    file = validated(NounsFile, values, str(source), faults) or NounsFile()
    for key, noun in file.nouns.items():
        if not any(_phrase(part) for part in _levels(str(key))):
            faults.append(f"{source}: nouns.{key}: expected the name of a category")
        if noun != " ".join(noun.lower().split()) or not noun.isprintable() or len(noun) > NOUN_MAXIMUM:
            faults.append(f"{source}: nouns.{key}: expected a lower-case noun such as 'alarm clock', got {noun!r}")
    return file


def _levels(category: str) -> Iterator[str]:
    return (part for part in _LEVELS.split(category) if part.strip())


def _phrase(text: str) -> Phrase:
    """The words of a text in lower case and singular, without "and" and the like."""
    words = (_POSSESSIVE.sub("", word) for word in _WORD.findall(text.lower()))
    return tuple(singular(word) for word in words if word not in ("and", "or", "the", "of"))


def _is_within(path: tuple[Phrase, ...], above: list[set[Phrase]]) -> bool:
    """Whether the phrases of `path` come in `above` in this order, with others in between or not."""
    levels = iter(above)
    return all(any(phrase in level for level in levels) for phrase in path)


def _is_in(phrase: Phrase, words: Phrase) -> bool:
    return any(words[at : at + len(phrase)] == phrase for at in range(len(words) - len(phrase) + 1))
