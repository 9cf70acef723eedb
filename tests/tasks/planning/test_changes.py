"""Which rows a night looks at, and which SKUs it takes for gone."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog_schemas.errors import CatalogError, ConfigError
from catalog_schemas.plan import Plan
from catalog_schemas.product import CATALOG_SCHEMA, Product
from catalog_schemas.rejection import Reason
from configs.library import Library
from configs.schema import CatalogConfig, RunConfig
from tasks.plan import make_plan
from tasks.planning.changes import Changes, LastSeen
from tasks.planning.fingerprints import Fingerprinter, Stamps, row_texts, salt_of
from tasks.planning.rows import Selection
from tasks.publish import sku_records
from tasks.publishing.publication import Harvest
from tasks.runtime.context import RunContext, new_run_id
from tasks.runtime.models import ModelFolder
from tasks.storage.sources import Sources
from tasks.storage.table_rows import rows_of
from tasks.storage.tables import Tables
from tasks.techniques import find_technique
from tests.bad_input.night import shipped_library
from tests.configs_tiny import tiny_config
from tests.drawn_products import product_row, write_catalog, write_photos

MODEL = ModelFolder("", "model", 64, "")
Row = dict[str, Any]


@pytest.fixture
def night(tmp_path: Path) -> Callable[..., Plan]:
    """A night over these rows, less all pictures: what it plans, after the tables have learned of its SKUs."""

    def plan(rows: list[Row], named: str = "catalog.parquet", limit: int = 0, **settings: Any) -> Plan:
        write_catalog(tmp_path / named, rows)
        config, now = RunConfig.model_validate(tiny_config(Path("model"), **settings)), datetime.now(UTC)
        file, store = str(tmp_path / named), str(tmp_path / "store")
        context = RunContext(new_run_id(now), file, store, config, MODEL, now)
        plan = make_plan(context, Selection(limit=limit))
        records = sku_records(context, plan, list(plan.jobs), Harvest((), (), plan.rejections))
        if records:
            updated = ("catalog", "fingerprint", "status", "images", "run_id", "updated_at")
            Tables(context.open()).merge("skus", rows_of("skus", records), context.run_id, updated)
        if plan.photos:
            Tables(context.open()).merge("photos", rows_of("photos", plan.photos), context.run_id, ("content",))
        return plan

    return plan


@pytest.fixture
def row(tmp_path: Path) -> Callable[..., Row]:
    """A row of the catalog; all of them share their photos."""
    photos = write_photos(tmp_path / "photos", 1, count=2)
    return lambda sku, **fields: product_row(sku, **photos) | fields


@pytest.mark.parametrize(
    "changed",
    [{f"{which}identity": "another"} for which in ("", "scorer_", "controlnet_", "segmenter_", "upscaler_", "loras_")],
)
def test_another_model_makes_a_night_look_at_every_row(changed: dict[str, str], tmp_path: Path) -> None:
    def salt(model: ModelFolder) -> str:
        config = RunConfig.model_validate(tiny_config(Path("model")))
        context = RunContext("run", "catalog.parquet", str(tmp_path), config, model, datetime.now(UTC))
        return salt_of(context, {})

    assert salt(replace(MODEL, path="/elsewhere")) == salt(MODEL)
    assert salt(replace(MODEL, **changed)) != salt(MODEL)


def _salt(folder: Path, scene_photos: Mapping[str, tuple[str, ...]] = {}, **settings: Any) -> str:
    config = RunConfig.model_validate(tiny_config(Path("model"), **settings))
    context = RunContext("run", "catalog.parquet", str(folder), config, MODEL, datetime.now(UTC))
    return salt_of(context, scene_photos)


@pytest.mark.parametrize(
    ("settings", "counts"),
    [({"model": {"source": "model", "resolution": 128}}, True), ({"training": {"rank": 8}}, True)]
    + [({"generation": {"steps": 4}}, True), ({"checks": []}, True), ({"catalog": {"references_maximum": 2}}, True)]
    + [({"variants": {name: value}}, True) for name, value in (("images", 2), ("attempts", 2), ("places", ["a loft"]))]
    + [({"compute": {"chunk_size": 2}}, False), ({"store": {"retire_maximum": 1}}, False)],
)
def test_a_setting_that_decides_images_makes_a_night_look_at_every_row_and_no_other_does(
    settings: dict[str, Any], counts: bool, tmp_path: Path
) -> None:
    assert (_salt(tmp_path, **settings) != _salt(tmp_path)) == counts


@pytest.mark.parametrize("name", ["TRAINER_VERSION", "RENDERER_VERSION", "GATE_VERSION", "FINISHER_VERSION"])
def test_another_version_of_what_makes_images_makes_a_night_look_at_every_row(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _salt(tmp_path)
    monkeypatch.setattr(f"tasks.planning.fingerprints.{name}", 99)
    assert _salt(tmp_path) != before


@pytest.mark.parametrize(
    ("colours", "counts"), [(["original", "sage"], True), (["#1a7f5a"], True), (["original"], False)]
)
def test_another_way_to_read_a_products_colour_makes_a_night_look_at_every_row_where_some_are_recoloured(
    colours: list[str], counts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _salt(tmp_path, variants={"colours": colours})
    monkeypatch.setattr("tasks.planning.fingerprints.OWN_COLOUR_VERSION", 99)
    assert (_salt(tmp_path, variants={"colours": colours}) != before) == counts


def test_another_photograph_of_a_scene_makes_a_night_look_at_every_row(tmp_path: Path) -> None:
    assert len({_salt(tmp_path, {"loft": (photo,)}) for photo in ("1", "2")} | {_salt(tmp_path)}) == 3


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        ("scenes", "wooden-table", {"prompt": "on a table of oak"}),
        ("colours", "sage", {"hex": "#000000"}),
        ("colours", "sage", {"title": "Moss"}),  # a word of the prompt
        ("backgrounds", "white", {"hex": "#000000"}),
        ("channels", "web", {"max_bytes": 1000}),
    ],
)
def test_another_entry_of_the_library_makes_a_night_look_at_every_row(
    kind: str, name: str, change: dict[str, Any], tmp_path: Path
) -> None:
    def salt(library: Library) -> str:
        class Told(RunContext):
            def library(self) -> Library:
                return library

        config = RunConfig.model_validate(tiny_config(Path("model")))
        context = Told("run", "catalog.parquet", str(tmp_path), config, MODEL, datetime.now(UTC))
        return salt_of(context, {})

    library = shipped_library()
    entries = getattr(library, kind)
    another = replace(library, **{kind: {**entries, name: entries[name].model_copy(update=change)}})
    assert salt(another) != salt(library)


def test_rows_that_differ_in_anything_have_texts_that_differ_wherever_they_stand() -> None:
    plain = product_row("a", ["p/0.png", "p/1.png"], attributes={"k": "v", "l": "w"})
    other = dict.fromkeys(("sku", "title", "class_noun", "category", "brand", "locale"), "x")
    other |= {"references": ["p/0.png"], "masks": ["p/0.png"], "updated_at": datetime(2026, 1, 1, tzinfo=UTC)}
    rows = [plain, *(plain | {name: value} for name, value in other.items())]
    rows += [plain | {"references": texts} for texts in (["p/0.png p/1.png"], ["p/1.png", "p/0.png"])]
    rows += [plain | {"attributes": pairs} for pairs in ({"k": "w", "l": "v"}, {"k": "v"}, {"kv": "", "l": "w"}, {})]
    batch = pa.RecordBatch.from_pylist(rows, schema=CATALOG_SCHEMA)
    texts = row_texts(batch).to_pylist()
    assert len(set(texts)) == len(rows)
    assert row_texts(batch.slice(3, 8)).to_pylist() == texts[3:11]
    assert row_texts(pa.RecordBatch.from_pylist([plain], schema=CATALOG_SCHEMA)).to_pylist() == texts[:1]


@pytest.mark.parametrize("beside", [[], [{"masks": None}]])
def test_what_a_list_or_a_map_leaves_open_hides_nothing_else_of_it(beside: list[Row]) -> None:
    half: list[Row] = [{name: [uri, None]} for name in ("references", "masks") for uri in ("p/0.png", "p/1.png")]
    half += [{"attributes": {"k": None, "l": text}} for text in "vw"]
    rows = [product_row("a", ["p/0.png"]) | fields for fields in (*half, *beside)]
    batch = pa.RecordBatch.from_pylist(rows, schema=CATALOG_SCHEMA)
    texts = row_texts(batch).to_pylist()
    assert len(set(texts) - {None}) == len(rows)
    for first in range(1, len(rows)):
        assert row_texts(batch.slice(first)).to_pylist() == texts[first:]


def test_rows_are_looked_at_once_more_of_which_a_photo_is_read_by_now_or_images_were_turned_down() -> None:
    batch = pa.RecordBatch.from_pylist([product_row(sku, ["p/0.png"]) for sku in "abcd"], schema=CATALOG_SCHEMA)
    before = Fingerprinter("salt").of(batch)
    now = Fingerprinter("salt", now_read=frozenset("ab"), rejected={"b": "1", "c": "1"}).of(batch)
    then = Fingerprinter("salt", rejected={"b": "1", "c": "2"}).of(batch)
    assert before[3] == now[3] == then[3]
    assert len({*before, *now, *then}) == 4 + 3 + 2


def test_a_row_that_lists_nothing_or_what_is_forbidden_is_known_again_too(tmp_path: Path) -> None:
    plain = product_row("a", ["/etc/passwd"])
    rows = [plain, plain | {"references": None, "masks": None}, plain | {"references": [None, "", "gone.png"]}]
    schema = pa.schema([field.with_nullable(True) for field in CATALOG_SCHEMA])
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    stamps = Stamps(Sources(f"{tmp_path}/", CatalogConfig()))
    before = Fingerprinter("salt", stamps).of(batch)
    assert before == Fingerprinter("salt", Stamps(stamps.sources)).of(batch)
    (tmp_path / "gone.png").write_bytes(b"it is back")
    now = Fingerprinter("salt", Stamps(stamps.sources)).of(batch)
    assert (before[:2], len({*before, now[2]})) == (now[:2], 4)


def test_a_photo_or_a_mask_that_changes_under_its_name_is_noticed_unless_only_rows_are_trusted(
    night: Callable[..., Plan], row: Callable[..., Row], tmp_path: Path
) -> None:
    trusting = {"catalog": {"changes": "updated_at"}}
    for settings, name in (({}, "0.png"), ({}, "0-mask.png"), (trusting, "0.png")):
        night([row("a")], **settings)
        with (tmp_path / "photos" / name).open("ab") as file:
            file.write(b"more")
        assert bool(night([row("a")], **settings).fingerprints) == (not settings), name
    moved = row("a", updated_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert night([moved], **trusting).fingerprints


def test_that_photos_were_placeholders_all_along_is_remembered_of_a_product_that_was_passed_over(
    night: Callable[..., Plan], row: Callable[..., Row]
) -> None:
    catalog = {"placeholder_products": 2}
    assert night([row("a")], catalog=catalog).jobs
    for _ in range(2):
        plan = night([row("a"), row("b")], catalog=catalog)
        assert (sorted(plan.quarantined), plan.skipped, plan.jobs) == (["a", "b"], 0, ())


def test_a_limited_run_leaves_the_rest_to_the_next_ones(night: Callable[..., Plan], row: Callable[..., Row]) -> None:
    rows = [row(f"sku-{n}") for n in range(5)]
    nights = [night(rows, limit=2) for _ in range(4)]
    looked_at = [[job.product.sku for job in plan.jobs] for plan in nights]
    assert looked_at == [["sku-0", "sku-1"], ["sku-2", "sku-3"], ["sku-4"], []]
    assert [(plan.rows, plan.skipped, plan.waiting) for plan in nights] == [(5, 0, 3), (5, 2, 1), (5, 4, 0), (5, 5, 0)]
    shorter = night([row("sku-0", title="another"), row("sku-1", title="another"), *rows[2:4]], limit=1)
    assert ([job.product.sku for job in shorter.jobs], shorter.waiting, shorter.gone) == (["sku-0"], 1, ("sku-4",))
    mixed_row = row("sku-0", title="once more")
    mixed = night([mixed_row, row("new"), *rows[2:4]], limit=1)
    assert [job.product.sku for job in mixed.jobs] == ["sku-0"], "what has changed waits for nothing that is new"
    back = night([row("sku-4"), row("new"), mixed_row, *rows[2:4]], limit=1)
    assert [job.product.sku for job in back.jobs] == ["sku-4"], "nor does what comes back"


@pytest.mark.usefixtures("asked_again_soon")
def test_rows_that_every_run_looks_at_keep_no_other_waiting(
    night: Callable[..., Plan], row: Callable[..., Row]
) -> None:
    """Their web server is down, night after night."""
    web = {"allow_private_addresses": True}
    catalog = {"reference_prefixes": ["https://127.0.0.1:1/"], "web": web}
    away = row("sku-0", references=["https://127.0.0.1:1/a.png"], masks=[])
    first = night([away], limit=1, catalog=catalog)
    assert [one.reason for one in first.rejections] == [Reason.REFERENCE_UNREACHABLE, Reason.SKU_NO_USABLE_REFERENCES]
    second = night([away, row("sku-1")], limit=1, catalog=catalog)
    assert ([job.product.sku for job in second.jobs], second.waiting) == (["sku-1"], 1)


def test_a_product_whose_masks_do_not_pair_with_its_photos_is_looked_at_once_and_keeps_no_other_waiting(
    night: Callable[..., Plan], row: Callable[..., Row]
) -> None:
    rows = [row("a", masks=["photos/0-mask.png"]), row("b")]
    first = night(rows, limit=1)
    assert [one.reason for one in first.rejections] == [Reason.ROW_FIELD_INVALID]
    assert (first.quarantined, first.waiting) == (("a",), 1)
    second = night(rows, limit=1)
    assert ([job.product.sku for job in second.jobs], second.quarantined) == (["b"], ("a",))
    mended = night([row("a"), row("b")])
    assert ([job.product.sku for job in mended.jobs], mended.quarantined) == (["a"], ())


def test_a_technique_that_makes_other_pixels_makes_a_night_look_at_every_row(
    night: Callable[..., Plan], row: Callable[..., Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    night([row("a")])
    assert not night([row("a")]).fingerprints
    monkeypatch.setattr(find_technique("composite"), "VERSION", 99)
    assert night([row("a")]).fingerprints.keys() == {"a"}
    assert not night([row("a")]).fingerprints


@pytest.mark.parametrize(
    ("known", "left", "refused"),
    [(30, 0, True), (30, 14, True), (30, 15, False), (1, 0, True), (3, 1, False), (12, 2, False), (13, 2, True)],
)
def test_a_catalog_that_has_lost_most_of_its_skus_ends_the_run(
    night: Callable[..., Plan], row: Callable[..., Row], known: int, left: int, refused: bool
) -> None:
    rows = [row(f"sku-{n}") for n in range(known)]
    night(rows)
    if refused:
        with pytest.raises(CatalogError, match=f"lists {left} of the {known} SKUs that it had.*store.retire_maximum"):
            night(rows[:left])
        assert not night(rows).gone, "nothing has happened"
    allowed = {"store": {"retire_maximum": 1}} if refused else {}
    assert len(night(rows[:left], **allowed).gone) == known - left
    assert not night(rows[:left]).gone, "they went once"


@pytest.mark.parametrize(
    ("having", "emptied", "waiting", "refused"),
    [(3, 3, 0, True), (3, 2, 0, False), (30, 15, 0, False), (30, 16, 0, True), (12, 10, 0, False), (30, 12, 10, True)],
)
def test_a_configuration_that_asks_for_no_image_of_most_products_ends_the_run(
    having: int, emptied: int, waiting: int, refused: bool, tmp_path: Path
) -> None:
    later = [Product(f"sku-{n}", "Mug", "mug", ("a.png",)) for n in (*range(waiting), *range(1000, 1100))]
    seen = [("published", 2)] * having + [("published", 0), ("quarantined", 0), ("retired", 2)] * 20
    changes = Changes({f"sku-{n}": LastSeen("print", *one) for n, one in enumerate(seen)})
    for share, ends in ((0.5, refused), (1.0, False)):
        config = RunConfig.model_validate(tiny_config(Path("model"), store={"retire_maximum": share}))
        context = RunContext("run", "catalog.parquet", str(tmp_path), config, MODEL, datetime.now(UTC))
        said = f"asks for no image of {emptied} of the {having - waiting} products.*store.retire_maximum"
        with pytest.raises(ConfigError, match=said) if ends else nullcontext():
            changes.refuse_an_emptying_configuration(context, emptied, later)


def test_skus_that_are_gone_already_do_not_hide_how_many_go(
    night: Callable[..., Plan], row: Callable[..., Row]
) -> None:
    rows = [row(f"sku-{n}") for n in range(40)]
    for left in (40, 20):
        night(rows[:left])
    with pytest.raises(CatalogError, match="lists 8 of the 20 SKUs that it had"):
        night(rows[:8])


def test_rows_without_a_sku_are_no_catalog(night: Callable[..., Plan], row: Callable[..., Row]) -> None:
    night([row("a")])
    with pytest.raises(CatalogError, match="lists 0 of the 1 SKUs that it had"):
        night([row(" "), row(None)])


def test_a_catalog_without_a_row_is_none_to_a_store_that_knows_nothing_of_it(night: Callable[..., Plan]) -> None:
    assert night([]).rows == 0


def test_of_doubled_rows_the_one_that_holds_is_remembered(night: Callable[..., Plan], row: Callable[..., Row]) -> None:
    refused, held = row("a", references=[]), row("a")

    def verdicts(*rows: Row) -> tuple[list[str], list[Reason]]:
        plan = night([*rows, row("b")])
        return [job.product.class_noun for job in plan.jobs if job.product.sku == "a"], [
            one.reason for one in plan.rejections
        ]

    for changed in ({}, {}, {"class_noun": "tankard"}, {"class_noun": "tankard"}):
        nouns, reasons = verdicts(refused, held | changed)
        assert nouns == [changed.get("class_noun", "mug")]
        assert reasons == [Reason.ROW_NO_REFERENCES]
    assert verdicts(held | {"class_noun": "tankard"}, refused) == ([], [Reason.ROW_NO_REFERENCES]), "it was remembered"


def test_a_second_row_of_a_sku_does_not_take_its_place_on_the_night_after(
    night: Callable[..., Plan], row: Callable[..., Row]
) -> None:
    for nouns in (["mug"], []):
        plan = night([row("a"), row("a", class_noun="tankard")])
        assert [job.product.class_noun for job in plan.jobs] == nouns
        assert [one.reason for one in plan.rejections] == [Reason.ROW_DUPLICATE_SKU]


def test_a_row_is_called_by_its_number_in_the_file(row: Callable[..., Row], tmp_path: Path) -> None:
    rows = [row("a"), row("bad", title=""), row("b"), row("bad", title="")]
    write_catalog(file := tmp_path / "catalog.parquet", rows)
    pq.write_table(pq.read_table(file), file, row_group_size=2)
    config, now = RunConfig.model_validate(tiny_config(Path("model"))), datetime.now(UTC)
    context = RunContext("run", str(file), str(tmp_path / "store"), config, MODEL, now)
    for selection in (Selection(), Selection(skus=("bad",))):
        assert [one.subject for one in make_plan(context, selection).rejections] == ["row 2", "row 4"]


def test_a_named_catalog_is_the_same_one_in_another_file(night: Callable[..., Plan], row: Callable[..., Row]) -> None:
    rows, named = [row("a"), row("b")], {"catalog_name": "shop"}
    assert not night(rows, "2026-11-27.parquet", store=named).gone
    plan = night(rows[1:], "2026-11-28.parquet", store=named)
    assert (plan.gone, plan.skipped, plan.fingerprints) == (("a",), 1, {})
    plan = night([row("c")], "other.parquet")
    assert not plan.gone, "another catalog of the store"
