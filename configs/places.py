"""A place in words of one's own, as a scene."""

import re
import unicodedata
from collections.abc import Collection

from catalog_schemas.identity import content_id
from configs.entries import Scene

LONGEST = 200  # letters of a place: a model reads some 60 words
_NAME = 48  # letters of a scene's name
_WHERE = "on|in|at|by|under|inside|beside|near|among|against|before|over"
_PLACE = re.compile(rf"(?P<where>(?:{_WHERE}) )?(?P<article>(?:an?|the) )?(?P<rest>.+)", re.IGNORECASE)


def scene_at(place: str, taken: Collection[str] = ()) -> Scene:
    """The scene that `place` tells of, in the style of the library's, with a name that is not among `taken`.

    At "a mossy rock in a forest, morning mist" a product is "on a mossy rock in a forest, morning mist", and without
    one there is "an empty mossy rock in a forest, morning mist". A place may begin with its own word for where: "in the
    snow" is another scene than "by the snow". It belongs to no group. Raises ValueError where `place` has no letter or
    digit, or more than LONGEST.
    """
    words = " ".join("".join(one if one.isprintable() else " " for one in place).split())
    if not any(one.isalnum() for one in words) or len(words) > LONGEST:
        raise ValueError(f"expected a place in 1 to {LONGEST} letters, got {len(words)}: {words[:60]!r}")
    told = _PLACE.fullmatch(words)
    assert told is not None, "it matches whatever is not empty"
    where, article, rest = told["where"] or "", told["article"] or "", told["rest"]
    empty = {"": "empty", "the ": "the empty"}.get(article.lower(), "an empty")
    return Scene(
        name=_name(f"{article}{rest}" if where.lower() == "on " else words, taken),
        title=words,
        group="",
        prompt=words if where else f"on {words}",
        empty_prompt=f"{empty} {rest}",
    )


def _name(words: str, taken: Collection[str]) -> str:
    """The words in Latin letters and digits; where that drops some, cuts them off, or is taken, with a hash of them."""
    letters = unicodedata.normalize("NFKD", words.lower())
    name = "-".join(re.findall("[a-z0-9]+", letters.encode("ascii", "ignore").decode()))
    is_told_whole = not any(one.isalnum() and not one.isascii() for one in letters)
    if name and is_told_whole and len(name) <= _NAME and name not in taken:
        return name
    own = content_id(words)[:8]
    return f"{name[: _NAME - len(own) - 1].strip('-') or 'place'}-{own}"
