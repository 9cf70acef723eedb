"""What a person says of images holds: the rejected go, come again with another seed, and never as they were."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog_schemas.errors import ConfigError
from catalog_schemas.review import Verdict
from flows.commands.command_line import main
from tasks.review_images import Reviewed, review_images
from tasks.upkeep.roll_back import roll_back
from tasks.upkeep.verify import verify
from tests.flows.shop import Shop, assert_sound

QUICK = {"variants": {"techniques": ["composite", "packshot"], "colours": ["original"], "limit_per_sku": 3}}


def say(shop: Shop, **named: list[dict[str, Any]]) -> Reviewed:
    """The verdicts, with the images' keys; each has a run of its own."""
    say.count = getattr(say, "count", 0) + 1
    texts = {Verdict[name.upper()]: "\n".join(row["key"] for row in rows) for name, rows in named.items()}
    return review_images(shop.objects, texts, "why not", f"review-{say.count}", datetime.now(UTC))


def by_technique(shop: Shop, sku: str) -> dict[str, dict[str, Any]]:
    return {row["technique"]: row for row in shop.live() if row["sku"] == sku}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, model: Path, prefect: str) -> Shop:
    """Two products, run once, never touched again."""
    shop = Shop(tmp_path_factory.mktemp("done"), model, changes=QUICK)
    shop.add("mug 1", 0)
    shop.add("vase-2", 1)
    shop.run()
    return shop


@pytest.fixture
def quick(done: Shop, tmp_path: Path) -> Shop:
    return done.copy(tmp_path / "shop")


def test_a_rejected_image_goes_at_once_and_the_next_night_draws_it_with_another_seed(quick: Shop) -> None:
    before = {row["image_id"]: row for row in quick.live()}
    bad = by_technique(quick, "mug 1")["composite"]
    assert say(quick, rejected=[bad]) == Reviewed(rejected=1, approved=0, retired=1)
    assert {row["image_id"] for row in quick.live()} == before.keys() - {bad["image_id"]}
    (job,) = quick.plan().jobs
    assert [(one.spec.seed, one.channels, one.reason) for one in job.variants] == [(1000, ("web",), "rejected")]
    run = quick.run().record
    assert (run.images_published, run.images_skipped, run.skus_skipped) == (1, 5, 1)
    again = next(row for row in quick.live() if row["seed"] == 1000)
    assert (again["scene"], again["sku"], again["technique"]) == (bad["scene"], bad["sku"], bad["technique"])
    assert again["sha256"] != bad["sha256"]
    assert quick.plan().jobs == (), "once"
    assert_sound(quick)


def test_the_second_attempt_may_be_rejected_too(quick: Shop) -> None:
    bad = by_technique(quick, "vase-2")["composite"]
    for seed in (1000, 2000):
        say(quick, rejected=[bad])
        assert quick.run().record.images_published == 1
        bad = next(row for row in quick.live() if row["seed"] == seed)
    assert len(quick.live()) == 6
    assert_sound(quick)


def test_what_no_seed_changes_is_not_made_again(quick: Shop) -> None:
    cut_out = by_technique(quick, "mug 1")["packshot"]
    say(quick, rejected=[cut_out])
    plan = quick.plan()
    assert (plan.jobs, plan.images_refused) == ((), 1)
    assert quick.run().record.images_published == 0
    assert quick.plan().images_refused == 0, "the night after passes over the SKU"
    assert len(quick.live()) == 5
    quick.rows[0]["title"] = "The same photo under another title"
    quick.run()
    assert "packshot" not in by_technique(quick, "mug 1"), "it is the same picture"


def test_a_rejected_image_that_is_approved_comes_back_in_the_place_of_its_successor(quick: Shop) -> None:
    before = {row["image_id"] for row in quick.live()}
    bad, cut_out = by_technique(quick, "mug 1")["composite"], by_technique(quick, "mug 1")["packshot"]
    say(quick, rejected=[bad, cut_out])
    quick.run()
    assert say(quick, approved=[bad, cut_out]) == Reviewed(rejected=0, approved=2, retired=0, revived=2)
    run = quick.run().record
    assert (run.images_published, run.images_retired) == (0, 1)
    assert {row["image_id"] for row in quick.live()} == before
    assert verify(quick.objects, lambda done, total: None).faults == ()
    assert_sound(quick)


def test_a_rollback_brings_no_rejected_image_back(quick: Shop) -> None:
    bad = by_technique(quick, "mug 1")["composite"]
    version = quick.tables.version("images")
    say(quick, rejected=[bad])
    roll_back(quick.objects, version, "rollback", datetime.now(UTC))
    assert bad["image_id"] not in {row["image_id"] for row in quick.live()}
    assert len(quick.live()) == 5


def test_a_verdict_holds_for_the_picture_and_not_for_what_a_new_photo_makes_of_it(quick: Shop) -> None:
    bad = by_technique(quick, "mug 1")["composite"]
    say(quick, rejected=[bad])
    quick.run()
    for column in ("references", "masks"):
        quick.rows[0][column].pop()
    assert quick.run().record.images_published == 3
    assert {row["seed"] for row in quick.live()} == {0}
    assert_sound(quick)


def test_a_verdict_on_a_file_that_two_images_have_made_alike_is_on_the_live_one(quick: Shop) -> None:
    first, version = by_technique(quick, "mug 1")["packshot"], quick.tables.version("images")
    for column in ("references", "masks"):
        quick.rows[0][column].pop()  # not the photo that is cut out
    quick.run()
    assert by_technique(quick, "mug 1")["packshot"]["key"] == first["key"]
    roll_back(quick.objects, version, "rollback", datetime.now(UTC))
    assert say(quick, approved=[first]) == Reviewed(rejected=0, approved=1)
    assert quick.table("reviews")[0]["image_id"] == first["image_id"]
    assert say(quick, rejected=[first]) == Reviewed(rejected=1, approved=0, retired=1)
    assert "packshot" not in by_technique(quick, "mug 1")


def test_the_command_takes_what_people_copy(quick: Shop, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    first, second, third = (row for row in quick.live() if row["sku"] == "mug 1")
    link = "https://cdn.example.com/shop/" + third["key"].replace("%", "%25") + "?v=3"
    windows = r"C:\My Store\images" + "\\" + second["key"].removeprefix("images/").replace("/", "\\")
    command = ["review", "--store", quick.store, "--reject", first["key"], windows, "--approve", link]
    assert main([*command, "--note", "the label is cut"]) == 0
    assert capsys.readouterr().out == "2 rejected, 1 approved: 2 taken down\n"
    told = {row["slot"]: (row["verdict"], row["note"]) for row in quick.table("reviews")}
    assert told == {
        first["slot"]: ("rejected", "the label is cut"),
        second["slot"]: ("rejected", "the label is cut"),
        third["slot"]: ("approved", "the label is cut"),
    }
    export = ["export", "tree", "--store", quick.store, "--out", str(tmp_path / "out")]
    assert main([*export, "--approved"]) == 0
    assert [file.name for file in (tmp_path / "out").rglob("*.webp")] == [third["key"].rpartition("/")[2]]


@pytest.mark.parametrize(
    ("reject", "approve", "told"),
    [
        ("", "", "no image is named"),
        ("the second one from the left", "", "'the second one from the left' names no image"),
        ("{key} and wooden-table.webp", "", "names no image"),
        ("images/MUG-9/web/a_b_c_d_0-0123456789ab.webp", "", "no such image in .*MUG-9/web/a_b"),
        ("images/M%FC/web/a_b_c_d_0-0123456789ab.webp", "", "no such image in .*M%FC/web/a_b"),
        ("images/%ED%A0%80/web/a_b_c_d_0-0123456789ab.webp", "", "no such image in .*%ED%A0%80/web/a_b"),
        ("{key}", "{key}", "is both to be approved and rejected"),
    ],
)
def test_what_names_no_image_is_told_and_changes_nothing(open_shop: Shop, reject: str, approve: str, told: str) -> None:
    key = open_shop.live()[0]["key"]
    named = {Verdict.REJECTED: reject.format(key=key), Verdict.APPROVED: approve.format(key=key)}
    before = open_shop.live()
    with pytest.raises(ConfigError, match=told):
        review_images(open_shop.objects, named, "", "review", datetime.now(UTC))
    assert open_shop.live() == before
    assert open_shop.table("reviews") == []


@pytest.mark.parametrize("pasted", ["aaaa", "a/b/", "a-b-"])
def test_a_megabyte_that_names_no_image_is_told_within_seconds(finished: Shop, pasted: str) -> None:
    begun = time.process_time()
    with pytest.raises(ConfigError, match="names no image"):
        review_images(finished.objects, {Verdict.REJECTED: pasted * 250_000}, "", "review", datetime.now(UTC))
    assert time.process_time() - begun < 5


def test_saying_it_again_changes_nothing(quick: Shop) -> None:
    bad = by_technique(quick, "mug 1")["composite"]
    say(quick, rejected=[bad])
    assert say(quick, rejected=[bad]) == Reviewed(rejected=1, approved=0)
    assert len(quick.table("reviews")) == 1
