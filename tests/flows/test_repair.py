"""What a store has lost is made again."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog_schemas.errors import StoreError
from flows.commands.command_line import main
from tasks.upkeep.roll_back import roll_back
from tasks.upkeep.verify import verify
from tests.flows.shop import Shop, assert_sound, comparable


def test_the_night_after_a_repair_makes_again_what_was_damaged_or_lost(open_shop: Shop) -> None:
    before, images = comparable(open_shop, "images"), {(row["sku"], row["technique"]): row for row in open_shop.live()}
    lost, damaged = images["vase-2", "composite"], images["mug-1", "regenerate"]
    adapter = next(row for row in open_shop.table("adapters") if row["sku"] == "mug-1")
    open_shop.objects.delete([lost["key"]])
    for row in (damaged, adapter):
        open_shop.objects.write(row["key"], b"damaged")
    keys = {fault.key for fault in verify(open_shop.objects, lambda done, total: None).faults}
    assert keys == {lost["key"], damaged["key"], adapter["key"]}
    assert main(["verify", "--store", open_shop.store, "--repair"]) == 0
    assert len(open_shop.live()) == len(before) - 2
    with pytest.raises(StoreError, match="the bytes of 2 images of version 1 are deleted"):
        roll_back(open_shop.objects, 1, "rollback", datetime.now(UTC))
    run = open_shop.run().record
    assert (run.adapters_trained, run.images_published, run.skus_skipped) == (1, 2, 1)
    assert comparable(open_shop, "images") == before
    assert_sound(open_shop)
    assert open_shop.plan().jobs == ()
    assert verify(open_shop.objects, lambda done, total: None).faults == ()


def test_what_was_damaged_waits_for_no_new_products(shop: Shop) -> None:
    shop.changes = {"variants": {"techniques": ["packshot"], "colours": ["original"]}}
    shop.add("a", 0)
    shop.run()
    shop.objects.delete([shop.live()[0]["key"]])
    assert main(["verify", "--store", shop.store, "--repair"]) == 0
    shop.add("new", 1)
    shop.limit = 1
    assert [job.product.sku for job in shop.plan().jobs] == ["a"]


def test_a_damaged_cache_costs_neither_the_run_nor_an_image(shop: Shop) -> None:
    shop.changes = {"variants": {"techniques": ["composite", "packshot"], "colours": ["original"], "limit_per_sku": 2}}
    shop.add("mug-1", 0, photos=1)
    shop.run()
    for file in [*Path(shop.store).glob("cache/scenes/*"), *Path(shop.store).glob("cache/references/*.png")]:
        file.write_bytes(file.read_bytes()[:-40])
    shop.objects.delete([key for key in shop.keys("cache/drafts") if key.endswith(".json")])
    shop.rows[0]["title"] = "Another mug"
    assert shop.run().record.images_published == 2
    assert shop.reasons() == []
    assert_sound(shop)


def test_a_run_trains_again_the_adapters_it_needs_that_are_lost_and_a_damaged_one_costs_its_sku_one_night(
    open_shop: Shop,
) -> None:
    whole = open_shop.copy(open_shop.folder / "whole")
    adapters, objects = {row["sku"]: row for row in open_shop.table("adapters")}, open_shop.objects
    lost, cut, damaged = (adapters[sku]["key"] for sku in ("mug-1", "vase-2", "lamp 3/ü"))
    objects.delete([lost])
    objects.write(cut, objects.read(cut)[:-40])
    objects.write(damaged, objects.read(damaged)[:-1] + b"~")
    assert open_shop.plan().jobs == (), "nothing needs them"
    for one in (open_shop, whole):
        one.changes = {"variants": {"scenes": ["wooden-table", "garden-grass", "beach-sand"]}}
    assert [job.train for job in open_shop.plan().jobs] == ["adapter lost", "adapter lost", ""]

    first = open_shop.run()
    assert first.record.adapters_trained == 2
    refused = [(one.sku, one.reason) for one in first.rejections]
    assert set(refused) == {("lamp 3/ü", "adapter_lost")}
    assert first.record.images_failed == len(refused) > 0
    assert f"{damaged} was damaged; the next run trains it again" in first.rejections[0].detail
    second = open_shop.run()
    assert second.record.adapters_trained == 1
    assert second.record.images_published == len(refused)
    whole.run()
    assert comparable(open_shop, "adapters") == comparable(whole, "adapters"), "with the bytes that were lost"
    # the images not bit for bit: what is drawn in a smaller batch differs in last places on some processors
    ids = [sorted(row["image_id"] for row in one.table("images")) for one in (open_shop, whole)]
    assert ids[0] == ids[1]
    assert_sound(open_shop)
    assert open_shop.plan().jobs == ()
