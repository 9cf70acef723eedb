"""English nouns: the singular of a plural."""

from functools import lru_cache

_SAME = frozenset(
    "jeans trousers pants shorts leggings tights sunglasses eyeglasses spectacles goggles scissors pliers tongs "  # noqa: SIM905
    "tweezers headphones earphones earbuds binoculars pajamas pyjamas overalls dungarees briefs boxers knickers "
    "panties trunks chinos joggers slacks sweatpants clippers shears chaps scrubs culottes capris suspenders "
    "cufflinks series species forceps clothes underclothes goods arts crafts electronics cosmetics ceramics graphics "
    "athletics mathematics physics sports news christmas canvas atlas gas always sis iris tennis chassis is his this "
    "us was has yes thermos".split()
)
_ODD = {
    "men": "man", "women": "woman", "children": "child", "mice": "mouse", "teeth": "tooth", "feet": "foot",
    "geese": "goose", "knives": "knife", "scarves": "scarf", "shelves": "shelf", "bookshelves": "bookshelf",
    "loaves": "loaf", "leaves": "leaf", "wolves": "wolf", "halves": "half", "calves": "calf", "elves": "elf",
    "hooves": "hoof", "potatoes": "potato", "tomatoes": "tomato", "ties": "tie", "neckties": "necktie",
    "bowties": "bowtie", "hoodies": "hoodie", "cookies": "cookie", "beanies": "beanie", "brownies": "brownie",
    "onesies": "onesie", "smoothies": "smoothie", "booties": "bootie", "movies": "movie", "selfies": "selfie",
    "plushies": "plushie", "bralettes": "bralette", "axes": "axe", "lenses": "lens", "canvases": "canvas",
    "buses": "bus", "thermoses": "thermos", "chaises": "chaise", "quiches": "quiche", "niches": "niche",
}  # fmt: skip
_ENDINGS = (
    *((ending, ending) for ending in ("ss", "us", "sis")),
    *((f"{stem}oes", f"{stem}oe") for stem in ("sh", "can", "t", "fl")),
    ("oes", "o"),
    ("eaux", "eau"),
    ("ies", "y"),
    ("sses", "ss"),
    ("xes", "x"),
    ("zzes", "zz"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("s", ""),
)


@lru_cache(10_000)  # a shop's categories say the same words again and again
def singular(word: str) -> str:
    """The singular of an English noun in lower case; a word that has none, or is no plural, as it is."""
    if word in _ODD:
        return _ODD[word]
    if word in _SAME or len(word) < 4:
        return word
    for ending, plain in _ENDINGS:
        if word.endswith(ending):
            return word[: len(word) - len(ending)] + plain
    return word
