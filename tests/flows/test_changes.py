"""A run makes what is new or has changed, says why, and nothing else."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from catalog_schemas.errors import ConfigError, Rejected
from catalog_schemas.rejection import Reason
from catalog_schemas.review import Verdict
from flows.commands.summary import plan_summary
from flows.start import start_run
from tasks import prepare_references
from tasks.imaging.decode import Decoded
from tasks.imaging.decoder_process import decode_apart
from tasks.reporting.reshoot import reshoots
from tasks.review_images import review_images
from tasks.upkeep.roll_back import roll_back
from tests.drawn_products import draw_photo
from tests.flows.shop import Shop, assert_sound, tree

TABLES = ("images", "adapters", "rejections")


def _replace_photo(shop: Shop, product: int, view: int, by: int) -> None:
    draw_photo(product, by)[0].save(shop.folder / f"photos-{product}" / f"{view}.png")


def _why(shop: Shop) -> Counter[tuple[str, str]]:
    return Counter((one.spec.sku, one.reason) for job in shop.plan().jobs for one in job.variants)


def test_a_first_run_makes_everything_because_it_is_new(shop: Shop) -> None:
    shop.add("a", 0)
    plan = shop.plan()
    assert {job.train for job in plan.jobs} == {"new"}
    assert _why(shop) == {("a", "new"): 6}


def test_a_second_run_does_nothing(open_shop: Shop) -> None:
    versions = {name: open_shop.tables.version(name) for name in TABLES}
    before = _made(open_shop)
    run = open_shop.run().record
    assert (run.adapters_trained, run.images_planned, run.images_published) == (0, 0, 0)
    assert (run.skus_input, run.skus_skipped, run.images_skipped) == (3, 3, 18)
    assert {name: open_shop.tables.version(name) for name in TABLES} == versions
    assert _made(open_shop) == before


def test_a_plan_writes_nothing_at_all(open_shop: Shop) -> None:
    _replace_photo(open_shop, 0, 1, by=7)
    open_shop.parameters()
    before = tree(open_shop.folder)
    assert open_shop.plan().jobs
    open_shop.parameters()
    assert tree(open_shop.folder) == before


def test_a_catalog_is_the_same_one_by_its_path_and_its_url(shop: Shop) -> None:
    asked = shop.parameters()
    (shop.folder / "photos").mkdir()
    for same in (f"file://{asked.catalog}", f"{shop.folder}/photos/../catalog.parquet"):
        assert start_run(asked.model_copy(update={"catalog": same})).catalog == asked.catalog


def test_a_plan_makes_no_store(shop: Shop) -> None:
    shop.add("a", 0)
    assert shop.plan().jobs
    assert not Path(shop.store).exists()


def test_a_replaced_photo_retrains_its_sku_alone_and_retires_its_old_images_until_it_comes_back(
    open_shop: Shop,
) -> None:
    first = {row["image_id"] for row in open_shop.live()}
    old = {row["image_id"] for row in open_shop.live() if row["sku"] == "mug-1"}
    _replace_photo(open_shop, 0, 1, by=7)
    assert _why(open_shop) == {("mug-1", "photo changed"): 6}
    assert [(job.product.sku, job.train) for job in open_shop.plan().jobs] == [("mug-1", "photo changed")]
    run = open_shop.run().record
    assert (run.adapters_trained, run.images_published, run.skus_published, run.skus_skipped) == (1, 6, 1, 2)
    retired = {row["image_id"] for row in open_shop.table("images") if row["retired_at"]}
    assert retired == old
    assert len(open_shop.live()) == 18
    assert_sound(open_shop)
    assert not open_shop.plan().jobs

    _replace_photo(open_shop, 0, 1, by=1)
    run = open_shop.run().record
    assert run.adapters_trained == 0, "its adapter is still there"
    assert {row["image_id"] for row in open_shop.live()} == first
    assert_sound(open_shop)
    assert not open_shop.plan().jobs


def test_a_photo_that_is_let_through_by_wider_bounds_retrains_its_sku_alone(open_shop: Shop) -> None:
    for name in ("2.png", "2-mask.png"):
        file = open_shop.folder / "photos-0" / name
        Image.open(file).resize((40, 40)).save(file)
    assert open_shop.run().report.reshoot_skus == 1
    assert open_shop.reasons() == [("mug-1", "reference_too_small")]
    open_shop.changes["catalog"] = {"reference_side_minimum": 32}
    assert _why(open_shop) == {("mug-1", "photo changed"): 6}
    run = open_shop.run()
    assert (run.record.adapters_trained, run.record.images_published, run.report.reshoot_skus) == (1, 6, 0)
    open_shop.changes["catalog"] = {"reference_side_minimum": 24}
    assert not open_shop.plan().jobs
    open_shop.changes["catalog"] = {"reference_side_minimum": 64}
    assert [(job.product.sku, job.train) for job in open_shop.plan().jobs] == [("mug-1", "")], "its adapter is there"


def test_photos_of_a_format_that_is_read_by_now_are_taken_by_the_next_night(open_shop: Shop, monkeypatch) -> None:
    def as_it_was(data: bytes, pixels_maximum: int) -> Decoded:
        if data[:4] == b"II*\0":
            detail = "a TIFF, not a JPEG, PNG or WebP image: save it as JPEG or PNG, and upload that"
            raise Rejected(Reason.REFERENCE_UNREADABLE, detail)
        return decode_apart(data, pixels_maximum)

    for file in (*(open_shop.folder / "photos-1").glob("?.png"), open_shop.folder / "photos-0" / "2.png"):
        Image.open(file).save(file, "TIFF")
    with monkeypatch.context() as patch:
        patch.setattr(prepare_references, "decode_apart", as_it_was)
        open_shop.run()
        unread = {("mug-1", "reference_unreadable"), ("vase-2", "reference_unreadable")}
        assert set(open_shop.reasons()) == {*unread, ("vase-2", "sku_no_usable_references")}
    assert _why(open_shop) == {("mug-1", "photo changed"): 6, ("vase-2", "photo changed"): 6}
    run = open_shop.run().record
    assert (run.skus_published, run.skus_skipped, run.skus_quarantined) == (2, 1, 0)
    asked = open_shop.parameters()
    assert not reshoots(start_run(asked)), "nothing is to be photographed again"
    assert_sound(open_shop)
    plan = open_shop.plan()
    assert (plan.jobs, plan.fingerprints) == ((), {}), "they are passed over like all others"


def test_a_photo_whose_bytes_only_moved_changes_nothing(open_shop: Shop) -> None:
    (open_shop.folder / "photos-0").rename(open_shop.folder / "moved")
    for row in open_shop.rows:
        for name in ("references", "masks"):
            row[name] = [entry.replace("photos-0", "moved") for entry in row[name]]
    assert not open_shop.plan().jobs


def test_a_changed_scene_is_rendered_again_and_no_other(open_shop: Shop) -> None:
    library = open_shop.folder / "library"
    (library / "scenes").mkdir(parents=True)
    (library / "scenes" / "outdoor.yaml").write_text(
        "garden-grass: {title: Garden, prompt: on tall grass, empty_prompt: tall grass, surface: 0.87}\n"
    )
    open_shop.changes["library"] = [str(library)]
    changed = {(job.product.sku, one.spec.scene, one.reason) for job in open_shop.plan().jobs for one in job.variants}
    assert changed == {(sku, "garden-grass", "scene changed") for sku in ("mug-1", "vase-2", "lamp 3/ü")}
    prepared = _made(open_shop, "cache/references")
    run = open_shop.run().record
    assert run.adapters_trained == 0
    assert run.images_published + run.images_skipped == 18
    assert prepared
    assert _made(open_shop, "cache/references") == prepared, "a photo is decoded and cut out once for all runs"
    assert_sound(open_shop)
    assert not open_shop.plan().jobs


def test_a_channel_that_is_called_or_explained_otherwise_makes_nothing_again(open_shop: Shop) -> None:
    (open_shop.folder / "library" / "channels").mkdir(parents=True)
    file = open_shop.folder / "library" / "channels" / "web.yaml"
    file.write_text("web: {title: Our shop, format: webp, quality: 88, source: https://example.com/rules}\n")
    open_shop.changes["library"] = [str(file.parent.parent)]
    assert not open_shop.plan().jobs
    file.write_text("web: {title: Our shop, format: webp, quality: 80}\n")
    assert {reason for _, reason in _why(open_shop)} == {"channel or finisher changed"}


def test_a_changed_recipe_trains_everyone_again_and_leaves_what_needs_no_adapter(open_shop: Shop) -> None:
    open_shop.changes["training"] = {"learning_rate": 2.0e-3}
    plan = open_shop.plan()
    assert {job.train for job in plan.jobs} == {"recipe changed"}
    assert {one.spec.technique for job in plan.jobs for one in job.variants} == {"regenerate"}
    assert {one.reason for job in plan.jobs for one in job.variants} == {"adapter changed"}


def test_what_the_model_does_not_draw_stays_where_its_settings_change(open_shop: Shop) -> None:
    open_shop.changes["generation"] = {"steps": 4, "negative_prompt": "blurry"}
    again = [one for job in open_shop.plan().jobs for one in job.variants]
    assert {one.spec.technique for one in again} == {"regenerate", "composite"}
    assert {one.reason for one in again} == {"settings changed"}


def test_what_has_no_place_any_more_is_counted_before_it_is_retired_and_after(open_shop: Shop) -> None:
    open_shop.changes["variants"] = {"techniques": ["packshot"]}
    kept = [row for row in open_shop.live() if row["technique"] == "packshot"]
    summary = plan_summary(open_shop.plan())
    assert (summary["images"], summary["images_retired"]) == ({}, 18 - len(kept))
    assert f"images to retire:  {18 - len(kept)}" in summary["text"]
    assert open_shop.run().record.images_retired == 18 - len(kept)
    assert len(open_shop.live()) == len(kept)


def test_what_a_channel_admits_no_more_is_retired_from_it(open_shop: Shop) -> None:
    (open_shop.folder / "library" / "channels").mkdir(parents=True)
    file = open_shop.folder / "library" / "channels" / "web.yaml"
    file.write_text("web: {title: Web, format: webp, quality: 88, techniques: [packshot]}\n")
    open_shop.changes["library"] = [str(file.parent.parent)]
    others = [row for row in open_shop.live() if row["technique"] != "packshot"]
    assert open_shop.run().record.images_retired == len(others) > 0
    assert {row["technique"] for row in open_shop.live()} == {"packshot"}
    assert_sound(open_shop)


def test_a_product_that_was_left_out_for_a_night_gets_its_images_back(shop: Shop) -> None:
    shop.changes["variants"] = {"techniques": ["packshot"], "colours": ["original"]}
    shop.add("a", 0)
    shop.add("b", 1)
    shop.run()
    shop.changes["variants"] |= {"exclude": [{"skus": ["a"]}]}
    assert shop.run().record.images_retired == 1
    assert {row["sku"]: row["images"] for row in shop.table("skus")} == {"a": 0, "b": 1}
    del shop.changes["variants"]["exclude"]
    assert shop.run().record.images_published == 1
    assert {row["sku"] for row in shop.live()} == {"a", "b"}


def test_what_comes_back_of_a_product_that_its_catalog_lists_no_more_is_retired_by_the_next_night(shop: Shop) -> None:
    shop.changes["variants"] = {"techniques": ["packshot"], "colours": ["original"]}
    shop.add("a", 0)
    shop.add("b", 1)
    shop.run()
    version, first = shop.tables.version("images"), next(row["key"] for row in shop.live() if row["sku"] == "a")

    def say(verdict: Verdict) -> None:
        review_images(shop.objects, {verdict: first}, "", str(verdict), datetime.now(UTC))

    listed = shop.rows.pop(0)
    shop.run()
    roll_back(shop.objects, version, "rollback", datetime.now(UTC))
    assert {row["sku"] for row in shop.live()} == {"a", "b"}
    assert shop.run().record.images_retired == 1
    say(Verdict.REJECTED)
    say(Verdict.APPROVED)
    assert {row["sku"] for row in shop.live()} == {"a", "b"}
    assert shop.run().record.images_retired == 1
    roll_back(shop.objects, version, "again", datetime.now(UTC))
    shop.rows.insert(0, listed)
    run = shop.run().record
    assert (run.images_published, run.images_retired, run.skus_skipped) == (0, 0, 2), "it is listed again"
    assert_sound(shop)


def test_a_product_that_is_new_is_made_alone(open_shop: Shop) -> None:
    open_shop.add("new", 5)
    assert set(_why(open_shop)) == {("new", "new")}


def test_a_new_title_is_written_into_its_images(open_shop: Shop) -> None:
    open_shop.rows[0]["title"] = "Another title"
    assert _why(open_shop) == {("mug-1", "title changed"): 6}
    drafts = _made(open_shop, "cache/drafts")
    run = open_shop.run().record
    assert (run.adapters_trained, run.images_published, run.skus_skipped) == (0, 6, 2)
    mine = [row for row in open_shop.live() if row["sku"] == "mug-1"]
    assert {row["title"] for row in mine} == {"Another title"}
    assert all(row["alt_text"].startswith("Another title") for row in mine)
    assert all(b"Another title" in open_shop.objects.read(row["key"]) for row in mine)
    assert _pictures(drafts) == _pictures(_made(open_shop, "cache/drafts")), "nothing is drawn for it"
    assert_sound(open_shop)
    assert not open_shop.plan().jobs


def test_a_library_may_bring_scenes_of_its_own(shop: Shop) -> None:
    shop.add("a", 0)
    (shop.folder / "library" / "scenes").mkdir(parents=True)
    (shop.folder / "library" / "scenes" / "own.yaml").write_text(
        "moon: {title: The moon, group: outdoor, prompt: on the moon, empty_prompt: the empty moon}\n"
    )
    shop.changes |= {"library": [str(shop.folder / "library")], "variants": {"scenes": ["moon"]}}
    assert "moon" in {one.spec.scene for job in shop.plan().jobs for one in job.variants}


def _made(shop: Shop, *prefixes: str) -> dict[str, int]:
    """The images and adapters, or what is asked for, with the time of their last change."""
    found = [key for prefix in prefixes or ("images", "adapters") for key in shop.keys(prefix)]
    return {key: Path(shop.store, key).stat().st_mtime_ns for key in found}


def _pictures(files: dict[str, int]) -> dict[str, int]:
    return {key: at for key, at in files.items() if key.endswith(".png")}


def test_another_colour_in_the_catalog_trains_and_draws_its_sku_anew(shop: Shop) -> None:
    shop.changes["training"] = {"colour_attributes": ["colour"]}
    shop.changes["variants"] = {"techniques": ["regenerate"], "limit_per_sku": 1}
    shop.add("a", 0, attributes={"colour": "Red"})
    shop.add("b", 1)
    shop.run()
    assert {row["sku"]: row["colour"] for row in shop.table("adapters")} == {"a": "red", "b": ""}
    assert not shop.plan().jobs
    shop.rows[0]["attributes"] = {"colour": "blue"}
    assert [(job.product.sku, job.train) for job in shop.plan().jobs] == [("a", "colour changed")]


def test_a_configuration_that_would_empty_the_shop_stops_before_anything_is_taken_down(shop: Shop) -> None:
    for number in range(2):
        shop.add(f"sku-{number}", number, category=f"Home > {number}")
    shop.changes = {"variants": {"techniques": ["packshot"]}}
    shop.run()
    live = shop.live()
    mistyped = {"variants": {"techniques": ["packshot"], "include": [{"categories": ["Hme > 0"]}]}}
    shop.changes = mistyped
    with pytest.raises(ConfigError, match="asks for no image of 2 of the 2 products"):
        shop.run()
    assert shop.live() == live != []
    shop.changes = {"variants": {"techniques": ["packshot"], "include": [{"categories": ["Home > 0"]}]}}
    assert shop.run().record.images_retired == len(live) / 2
    shop.changes = mistyped | {"store": {"retire_maximum": 1}}
    assert shop.run().record.images_retired == len(live) / 2
    assert not shop.live()
