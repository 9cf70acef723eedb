"""Which photos a run takes up that one before had to refuse."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog_schemas.product import Product
from catalog_schemas.reference import Photo
from catalog_schemas.rejection import Reason, Rejection
from configs.schema import RunConfig
from tasks.planning.let_through import let_through, read_by_now, still_refused
from tasks.planning.photos import Listed
from tasks.runtime.context import RunContext, config_key
from tasks.runtime.models import ModelFolder
from tasks.storage.table_rows import rows_of
from tasks.storage.tables import Tables
from tests.configs_tiny import tiny_config

MUG = Product("mug", "Mug", "mug", ("0.png", "1.png"))
PHOTOS = [Photo(uri, "", f"id of {uri}", f"content of {uri}") for uri in MUG.references]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NARROW = {"reference_side_minimum": 64, "reference_pixels_maximum": 1000}


def _context(folder: Path, bounds: dict[str, int]) -> RunContext:
    config = RunConfig.model_validate(tiny_config(Path("model"), catalog=bounds))
    return RunContext("run", "catalog", str(folder), config, ModelFolder("", "", 64, ""), NOW)


def _refused(reason: Reason, subject: str, detail: str = "", stage: str = "prepare_references") -> Rejection:
    return Rejection("mug", stage, reason, subject, detail, "then", NOW)


@pytest.mark.parametrize("reason", [Reason.REFERENCE_TOO_SMALL, Reason.REFERENCE_TOO_LARGE])
@pytest.mark.parametrize(
    ("now", "is_known", "through"),
    [
        ({}, True, False),
        ({"reference_side_minimum": 32}, True, True),
        ({"reference_side_minimum": 65}, True, False),
        ({"reference_pixels_maximum": 1001}, True, True),
        ({"reference_pixels_maximum": 999}, True, False),
        ({"reference_side_minimum": 32}, False, False),
    ],
)
def test_a_photo_that_was_refused_for_its_size_is_another_one_under_wider_bounds_than_were_kept(
    tmp_path: Path, reason: Reason, now: dict[str, int], is_known: bool, through: bool
) -> None:
    context = _context(tmp_path, NARROW | now)
    rows = rows_of("rejections", [_refused(reason, "0.png")])
    Tables(context.open()).merge("rejections", rows, "then")
    if is_known:
        context.open().write(config_key("then"), json.dumps({"catalog": NARROW}).encode())
    jar = Listed(replace(MUG, sku="jar"), PHOTOS)
    [listed, other] = let_through(context, [Listed(MUG, PHOTOS), jar], frozenset())
    assert other == jar, "nobody has refused it there"
    assert [photo.id != before.id for photo, before in zip(listed.photos, PHOTOS, strict=True)] == [through, False]
    assert bool(still_refused(context, rows.to_pylist())) != through


def test_wider_bounds_of_pixels_let_no_damaged_photo_through_and_none_of_too_many_bytes(tmp_path: Path) -> None:
    context = _context(tmp_path, NARROW | {"reference_side_minimum": 32})
    damaged = _refused(Reason.REFERENCE_UNREADABLE, "0.png", "the file is damaged")
    heavy = _refused(Reason.REFERENCE_TOO_LARGE, "2.png", "expected at most 9 bytes", "plan")
    Tables(context.open()).merge("rejections", rows := rows_of("rejections", [damaged, heavy]), "then")
    context.open().write(config_key("then"), json.dumps({"catalog": NARROW}).encode())
    assert let_through(context, [Listed(MUG, PHOTOS)], frozenset()) == [Listed(MUG, PHOTOS)]
    assert still_refused(context, rows.to_pylist()) == rows.to_pylist()


def test_a_photo_in_a_format_that_is_read_by_now_is_another_one_of_the_product_that_it_was_refused_of(
    tmp_path: Path,
) -> None:
    context = _context(tmp_path, {})
    [listed] = let_through(context, [Listed(MUG, PHOTOS)], frozenset({("mug", "0.png"), ("jar", "1.png")}))
    assert [photo.id != before.id for photo, before in zip(listed.photos, PHOTOS, strict=True)] == [True, False]


def test_what_was_refused_for_a_format_that_is_read_by_now_is_known_and_what_is_damaged_stays_so(
    tmp_path: Path,
) -> None:
    tables = Tables((context := _context(tmp_path, {})).open())
    unread = "a TIFF, not a JPEG, PNG or WebP image: save it as JPEG or PNG, and upload that"
    refused = [
        _refused(Reason.REFERENCE_UNREADABLE, "0.png", unread),
        _refused(Reason.MASK_UNREADABLE, "1.png", unread),
        _refused(Reason.REFERENCE_UNREADABLE, "2.png", "the file is damaged"),
    ]
    tables.merge("rejections", rows := rows_of("rejections", refused), "then")
    assert [row["subject"] for row in still_refused(context, rows.to_pylist())] == ["2.png"]
    assert read_by_now(tables) == {("mug", "0.png"), ("mug", "1.png")}
