"""What a store has lost is made again."""

from flows.command_line import main
from tasks.verify import verify
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
    run = open_shop.run().record
    assert (run.adapters_trained, run.images_published, run.skus_skipped) == (1, 2, 1)
    assert comparable(open_shop, "images") == before
    assert_sound(open_shop)
    assert open_shop.plan().jobs == ()
    assert verify(open_shop.objects, lambda done, total: None).faults == ()
