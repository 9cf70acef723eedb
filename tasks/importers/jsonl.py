"""JSON Lines: an object a line, with the catalog's own field names."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from catalog_schemas.errors import CatalogError
from catalog_schemas.product import Product
from tasks.importers import Found, Report
from tasks.importers.csv import PHOTO_COLUMNS, TEXT_COLUMNS, parse_time, text_of
from tasks.importers.formats.lines import LINE_MAXIMUM, open_lines


def products(file: Path, report: Report) -> Iterator[Found]:
    """A product a line: sku, title, class_noun or category, and photos as a text or a list of texts.

    `attributes` is an object; every field that the catalog does not know becomes an attribute too, numbers as they are
    written, anything deeper as JSON. Lines that hold no such object go into the report.
    """
    with open_lines(file, report.encoding) as lines:
        for number, line in enumerate(lines, 1):
            if number == 1 and line.lstrip().startswith("["):
                raise CatalogError(str(file), ["expected an object on each line, got one JSON array; write JSON Lines"])
            if not line.strip():
                continue
            try:
                yield _found(number, _object(line), report)
            except (ValueError, RecursionError) as error:
                report.leave_out(number, str(error)[:200])


def _object(line: str) -> dict[str, Any]:
    if len(line) >= LINE_MAXIMUM:
        raise ValueError(f"the line has more than {LINE_MAXIMUM:,} characters")
    value = json.loads(line, object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=str)
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {_kind(value)}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field comes more than once in an object")
    return found


def _found(line: int, fields: dict[str, Any], report: Report) -> Found:
    photos = next((name for name in PHOTO_COLUMNS if name in fields), PHOTO_COLUMNS[0])
    known = {*TEXT_COLUMNS, photos, "masks", "updated_at", "attributes"}
    texts = {name: text_of(name, _text(name, fields.get(name))) for name in TEXT_COLUMNS}
    attributes = fields.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise ValueError(f"attributes: expected an object, got {_kind(attributes)}")
    attributes = {**attributes, **{name: value for name, value in fields.items() if name not in known}}
    written = _text("updated_at", fields.get("updated_at"))
    updated_at = parse_time(written) if written else None
    if written and updated_at is None:
        report.remark(line, "rows whose updated_at is no ISO 8601 time, and was left empty")
    product = Product(
        **texts,
        references=_texts(photos, fields.get(photos)),
        masks=_masks(fields.get("masks")),
        attributes={name: _shown(value) for name, value in attributes.items() if value not in (None, "", [], {})},
        updated_at=updated_at,
    )
    return Found(line, product, (product.category,))


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected text, got {_kind(value)}")
    return value.strip()


def _masks(value: Any) -> tuple[str, ...]:
    """A mask for each photo, "" or null for one that has none."""
    masks = tuple(_text("masks", item) for item in (value if isinstance(value, list) else [value]))
    return masks if any(masks) else ()


def _texts(name: str, value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(text for text in (_text(name, item) for item in values) if text)


def _shown(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text or a number", bool: "true or false", type(None): "null"}
    return names[type(value)]
