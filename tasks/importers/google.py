"""A product feed for Google Merchant Center: tab-separated text, or XML (RSS or Atom with the g: namespace).

https://support.google.com/merchants/answer/7052112 lists the attributes. An item is one variant: those of one
item_group_id that differ in size alone look alike, so they become one product, under the id that comes first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from catalog_schemas.product import Product
from tasks.importers import Found, Report
from tasks.importers.formats.feed import feed_items
from tasks.importers.formats.html import html_to_text
from tasks.importers.formats.lines import file_head
from tasks.importers.formats.table import Layout, table_rows

GROUP_MAXIMUM = 10_000
IDS_LENGTH = 16_000
_LOOKS = ("color", "pattern", "material")
_KEPT = (*_LOOKS, "size", "gender", "age_group", "condition", "gtin", "mpn", "item_group_id", "link")
_READ = ("id", "title", "description", "brand", "image_link", "additional_image_link", "product_type")
_LINKS = re.compile(r"\s*,\s*(?=[a-zA-Z][a-zA-Z0-9+.-]*://)|\s+(?=https?://)")
_JOINED = ", "


@dataclass(frozen=True, slots=True)
class _Item:
    """One item's attributes by Google's names; `photos` are its main image and then the additional ones."""

    line: int
    values: dict[str, str]
    photos: tuple[str, ...]

    def get(self, name: str) -> str:
        return self.values.get(name, "")

    @property
    def looks(self) -> tuple[str, ...]:
        """What must be the same for two items of a group to be one product."""
        named = tuple(self.get(name).lower() for name in _LOOKS)
        return (*named, self.get("gender"), self.get("age_group"), "" if any(named) else self.get("image_link"))


def products(file: Path, report: Report) -> Iterator[Found]:
    """A product for each look of each item group, and for each item without a group."""
    items = _feed(file, report) if _is_xml(file) else _table(file, report)
    seen: set[tuple[str, ...]] = set()
    for group, members in groupby(items, lambda item: item.get("item_group_id")):
        if not group:
            yield from (_found([item], report) for item in members)
            continue
        alike: dict[tuple[str, ...], list[_Item]] = {}
        for number, item in enumerate(members):
            if number >= GROUP_MAXIMUM:
                report.leave_out(item.line, f"its item group has more than {GROUP_MAXIMUM:,} items")
            elif (group, *item.looks) in seen:
                report.remark(item.line, "items that stand apart from their item group, left out as more sizes of it")
            else:
                alike.setdefault(item.looks, []).append(item)
        seen |= {(group, *looks) for looks in alike}
        yield from (_found(sizes, report) for sizes in alike.values())


def _found(sizes: list[_Item], report: Report) -> Found:
    first = sizes[0]
    if len(sizes) > 1:
        what = "items that differ from another of their group in size alone, and share its product"
        report.remark(sizes[1].line, what, len(sizes) - 1)
    attributes = {name: text for name in _KEPT if (text := first.get(name))}
    attributes |= {name: text for name in ("size", "gtin", "mpn") if (text := _joined(sizes, name))}
    if len(sizes) > 1:
        attributes["google ids"] = _ids(sizes, report)
    if text := html_to_text(first.get("description")):
        attributes["description"] = text
    category = first.get("google_product_category") or first.get("product_type")
    photos = dict.fromkeys(
        [*(item.get("image_link") for item in sizes), *(url for item in sizes for url in item.photos)]
    )
    product = Product(
        sku=first.get("id"),
        title=html_to_text(first.get("title")).replace("\n", " "),
        class_noun="",
        references=tuple(url for url in photos if url),
        attributes=attributes,
        category=first.get("product_type") if category.isdigit() else category,
        brand=first.get("brand"),
        locale=first.get("content_language"),
    )
    return Found(first.line, product, (first.get("product_type"), first.get("google_product_category")))


def _ids(sizes: list[_Item], report: Report) -> str:
    """The items' ids, a line each; as many as an attribute holds, for half an id would be another one."""
    ids, length = list[str](), 0
    for item in sizes:
        length += len(item.get("id")) + 1
        if length > IDS_LENGTH:
            report.remark(item.line, "items beyond those whose ids fit into one product; feeds will lack them")
        else:
            ids.append(item.get("id"))
    return "\n".join(dict.fromkeys(filter(None, ids)))


def _joined(sizes: list[_Item], name: str) -> str:
    return _JOINED.join(dict.fromkeys(text for item in sizes if (text := item.get(name))))


def _table(file: Path, report: Report) -> Iterator[_Item]:
    layout = Layout(
        "product feed",
        lambda cell: "_".join(re.sub(r"\[.*", "", cell.lower()).removeprefix("g:").split()),
        (("id",), ("title",), ("image_link",)),
        ("additional_image_link", "product_type", "shipping", "product_detail", "product_highlight"),
    )
    for row in table_rows(file, layout, report):
        yield _item(row.line, row.cells, [row.cells.get("additional_image_link", "")])


def _feed(file: Path, report: Report) -> Iterator[_Item]:
    for item in feed_items(file, report):
        values = {name: item.first(f"g:{name}", name) for name in (*_READ, *_KEPT)}
        values |= {name: item.first(f"g:{name}") for name in ("google_product_category", "content_language")}
        values["id"] = item.first("g:id", "id", "guid")
        values["description"] = item.first("g:description", "description", "summary", "content")
        yield _item(item.line, values, item.fields.get("g:additional_image_link", []))


def _item(line: int, values: dict[str, str], additional: list[str]) -> _Item:
    links = [values.get("image_link", ""), *additional]
    return _Item(line, values, tuple(url for cell in links for url in _LINKS.split(cell) if url))


def _is_xml(file: Path) -> bool:
    head = file_head(file).removeprefix(b"\xef\xbb\xbf")
    return head.replace(b"\0", b"").lstrip(b"\xff\xfe \t\r\n").startswith(b"<")
