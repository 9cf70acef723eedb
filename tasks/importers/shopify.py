"""Shopify's product CSV, as its admin exports it, with the column names of before and after 2024.

https://help.shopify.com/en/manual/products/import-export/using-csv describes it: all rows of a product share its
handle and follow one another; the first holds the product's fields, and a row may hold a variant, an image, or both.

What becomes a SKU. Sizes look alike: they share photos and one adapter. Variants with an image of their own that
differ in anything else, such as Color, are products of their own, "<handle>.<value>" (a handle holds no period).
Otherwise the handle is the SKU, so that a new size or a new variant SKU costs no training.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from catalog_schemas.product import Product
from tasks.importers import Found, Report
from tasks.importers.formats.html import html_to_text
from tasks.importers.formats.table import Layout, TableRow, table_rows

ROWS_MAXIMUM = 10_000  # of one handle: Shopify allows 2,048 variants and 250 images
_NAMES = {
    "url handle": "handle",
    "body (html)": "description",
    "product category": "category",
    "variant sku": "sku",
    "product image url": "image src",
    "variant image url": "variant image",
}
_OPTIONS = (1, 2, 3)
_SIZES = frozenset(
    "size sizes length width height waist inseam volume capacity weight quantity qty count pack amount denominations "  # noqa: SIM905
    "taille größe groesse grösse talla tamaño maat taglia storlek størrelse サイズ 尺寸".split()
)
_DEFAULT = ("title", "default title")
_JOINED = ", "


@dataclass(frozen=True, slots=True)
class _Variant:
    """A variant: its option values by option name, in lower case names, its own SKU and its own image or ""."""

    options: dict[str, str]
    sku: str
    image: str

    @property
    def look(self) -> tuple[tuple[str, str], ...]:
        """The options that can be seen."""
        return tuple((name, value) for name, value in self.options.items() if not _SIZES & set(_words(name)))


@dataclass(slots=True)
class _Group:
    """All rows of a handle."""

    line: int
    handle: str
    texts: dict[str, str] = field(default_factory=dict)
    variants: list[_Variant] = field(default_factory=list)
    images: list[tuple[float, str, str]] = field(default_factory=list)  # position, URL, alt text


def products(file: Path, report: Report) -> Iterator[Found]:
    """A product for each handle, or for each look of it. Archived products and gift cards are passed over."""
    layout = Layout("product export", _column, (("handle",), ("title",), ("image src",)))
    seen: set[str] = set()
    for handle, rows in groupby(table_rows(file, layout, report), lambda row: row.cells["handle"]):
        first = next(rows)
        if not handle or handle in seen:
            why = "the row has no handle" if not handle else f"{handle[:100]!r} comes again, apart from its other rows"
            report.leave_out(first.line, why)
            for row in rows:
                report.leave_out(row.line, why)
            continue
        seen.add(handle)
        group = _group(first, rows, report)  # noqa: B031
        if group.texts.get("status", "").lower() == "archived":
            report.remark(group.line, "archived products, passed over")
        elif group.texts.get("gift card", "").lower() == "true":
            report.remark(group.line, "gift cards, passed over")
        else:
            yield from _found(group, report)


def _column(cell: str) -> str:
    name = " ".join(cell.lower().split())
    return _NAMES.get(name, name)


def _group(first: TableRow, rest: Iterator[TableRow], report: Report) -> _Group:
    group = _Group(first.line, first.cells["handle"], dict(first.cells))
    names = [first.cells.get(f"option{number} name", "").lower() for number in _OPTIONS]
    _add(group, first, names)
    for number, row in enumerate(rest, 2):
        if number > ROWS_MAXIMUM:
            report.leave_out(row.line, f"{group.handle[:100]!r} has more than {ROWS_MAXIMUM:,} rows")
        else:
            _add(group, row, names)
    group.images.sort(key=lambda image: image[0])
    return group


def _add(group: _Group, row: TableRow, names: list[str]) -> None:
    cells = row.cells
    for name in ("title", "category", "type"):
        group.texts[name] = group.texts.get(name) or cells.get(name, "")
    values = [cells.get(f"option{number} value", "") for number in _OPTIONS]
    options = {
        name: value
        for name, value in zip(names, values, strict=True)
        if name and value and (name, value.lower()) != _DEFAULT
    }
    if options or cells.get("sku"):
        group.variants.append(_Variant(options, cells.get("sku", ""), cells.get("variant image", "")))
    if url := cells["image src"]:
        position = cells.get("image position", "")
        last = float(position) if position.isdecimal() and len(position) < 9 else float(len(group.images) + 1)
        group.images.append((last, url, cells.get("image alt text", "")))


def _found(group: _Group, report: Report) -> Iterator[Found]:
    looks = _looks(group.variants)
    if len(looks) < 2:
        if len({variant.look for variant in group.variants}) > 1:
            report.remark(group.line, "products whose looks (such as colours) share their photos, taken as one SKU")
        photos = [url for _, url, _ in group.images] + [variant.image for variant in group.variants]
        yield _product(group, group.variants, "", "", photos)
        return
    photos_of = _photos(group, looks, report)
    slugs: set[str] = set()
    for look, variants in looks.items():
        if not photos_of[look]:
            report.remark(group.line, "looks (such as a colour) without a photo of their own; a run sets them aside")
        values = _own_values(variants, [other for key, others in looks.items() if key != look for other in others])
        slug = _unused("-".join(_words(" ".join(values))) or "plain", slugs)
        yield _product(group, variants, slug, _JOINED.join(values), photos_of[look])


def _looks(variants: list[_Variant]) -> dict[str, list[_Variant]]:
    """The variants by the image that shows them; by nothing else, since what shares an image cannot be told apart."""
    image_of: dict[tuple[tuple[str, str], ...], str] = {}
    for variant in variants:
        image_of[variant.look] = image_of.get(variant.look) or variant.image
    looks: dict[str, list[_Variant]] = {}
    for variant in variants:
        looks.setdefault(image_of[variant.look], []).append(variant)
    return looks


def _photos(group: _Group, looks: dict[str, list[_Variant]], report: Report) -> dict[str, list[str]]:
    """Each look's photos: its variants' image, and those whose alt text or file name names a value of this look alone.

    A photo that names no look may show any of them; it is left out, for a wrong colour ruins an adapter.
    """
    owners: dict[tuple[str, ...], set[str]] = {}
    for look, variants in looks.items():
        for value in {value for variant in variants for _, value in variant.look}:
            owners.setdefault(_words(value), set()).add(look)
    photos: dict[str, list[str]] = {look: [look] if look else [] for look in looks}
    for _, url, alt in group.images:
        if url in looks:
            continue
        named = _named(_words(alt), owners) or _named(_words(url.rpartition("/")[2].partition("?")[0]), owners)
        if len(named) == 1:
            photos[named.pop()].append(url)
        else:
            report.remark(group.line, "photos that do not say which look they show, left out")
    return photos


def _named(words: tuple[str, ...], owners: dict[tuple[str, ...], set[str]]) -> set[str]:
    """The looks whose values stand in the words; "navy blue" is not "blue"."""
    found: set[str] = set()
    at = 0
    while at < len(words):
        matches = [value for value in owners if value and words[at : at + len(value)] == value]
        longest = max(matches, key=len, default=())
        if longest and len(owners[longest]) == 1:
            found |= owners[longest]
        at += len(longest) or 1
    return found


def _own_values(variants: list[_Variant], others: list[_Variant]) -> list[str]:
    """The values that tell these variants from the others, in the options' order."""
    elsewhere = {pair for variant in others for pair in variant.look}
    own = dict.fromkeys(pair for variant in variants for pair in variant.look if pair not in elsewhere)
    return [value for _, value in own or dict.fromkeys(pair for variant in variants for pair in variant.look)]


def _product(group: _Group, variants: list[_Variant], slug: str, values: str, photos: list[str]) -> Found:
    texts = group.texts
    category, kind = texts.get("category", ""), texts.get("type", "")
    title = html_to_text(texts.get("title", "")).replace("\n", " ")
    # not to be replaced by an option of that name
    listing = {"handle": group.handle} | ({"product title": title} if slug and title else {})
    attributes = dict(listing)
    for name in dict.fromkeys(name for variant in variants for name in variant.options):
        attributes[name] = _JOINED.join(dict.fromkeys(v.options[name] for v in variants if name in v.options))
    skus = _JOINED.join(dict.fromkeys(variant.sku for variant in variants if variant.sku))
    extra = {"variant skus": skus, "type": kind, "tags": texts.get("tags", ""), "status": texts.get("status", "")}
    extra["description"] = html_to_text(texts.get("description", ""))
    product = Product(
        sku=f"{group.handle}.{slug}" if slug else group.handle,
        title=f"{title}, {values}" if title and values else title,
        class_noun="",
        references=tuple(dict.fromkeys(filter(None, photos))),
        attributes=attributes | {name: text for name, text in extra.items() if text} | listing,
        category=category or kind,
        brand=texts.get("vendor", ""),
    )
    return Found(group.line, product, (kind, category))


def _unused(slug: str, taken: set[str]) -> str:
    number, found = 1, slug
    while found in taken:
        number += 1
        found = f"{slug}-{number}"
    taken.add(found)
    return found


def _words(text: str) -> tuple[str, ...]:
    """Words in lower case and without accents: "Bleu Pétrole" and bleu_petrole.jpg have the same ones."""
    bare = unicodedata.normalize("NFKD", text.lower())
    return tuple(re.findall(r"[^\W_]+", "".join(letter for letter in bare if not unicodedata.combining(letter))))
