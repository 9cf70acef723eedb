"""Scenes that a shop has photographed itself: shown as they are, by content, and refused before anything is made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from catalog_schemas.errors import ConfigError
from tasks.engine.rendering import RenderRequest
from tasks.imaging.decode import decode
from tasks.imaging.marking import read_marks
from tasks.storage.objects import ObjectStore
from tests.flows.shop import Shop, assert_sound
from tests.flows.test_reviews import say
from tests.imaging.pictures import wooden_table
from tests.servers.moto import S3Server

LOFT = {"title": "Our loft", "prompt": "on a table in a loft", "photos": ["photos/loft.png"], "surface": 0.8}
ONE_SCENE = {"scenes": ["loft"], "colours": ["original"], "techniques": ["composite"]}


def write_library(folder: Path, **scenes: dict[str, Any]) -> str:
    """A library of these scenes, with a photograph of a table."""
    for place in ("scenes", "photos"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    (folder / "scenes" / "table.yaml").write_text(yaml.safe_dump(scenes))
    Image.fromarray(wooden_table(100)[:80]).save(folder / "photos" / "loft.png")
    return str(folder)


@pytest.fixture
def loft(shop: Shop) -> Shop:
    """A shop of one product that has photographed its loft."""
    shop.changes = {"library": [write_library(shop.folder / "own", loft=LOFT)], "variants": ONE_SCENE}
    shop.add("mug", 0)
    return shop


def test_a_product_stands_in_the_photograph_and_no_model_draws(loft: Shop, drawn: list[RenderRequest]) -> None:
    assert loft.run().record.images_published == 1
    [row] = loft.live()
    assert (row["scene"], row["prompt"], row["base_model"], drawn) == ("loft", "", "", [])
    data = loft.objects.read(row["key"])
    assert read_marks(data).source_type == "none", "no model has had a part in it"
    shown = decode(data, 1 << 40).rgb
    place = Image.fromarray(wooden_table(100)[:80, 10:90]).resize(shown.shape[1::-1], Image.Resampling.LANCZOS)
    off = np.abs(shown.astype(int) - np.asarray(place)).mean(axis=2)
    assert np.median(off[: shown.shape[0] // 8]) < 3, "above the product it is the photograph's middle"
    assert off.max() > 40, "and there is a product"
    assert_sound(loft)


def test_a_channel_of_another_shape_shows_more_of_the_photograph(loft: Shop) -> None:
    photograph = wooden_table(120)[:64]
    photograph[:, :14], photograph[:, -14:] = (200, 40, 40), (40, 40, 200)
    Image.fromarray(photograph).save(loft.folder / "own" / "photos" / "loft.png")
    loft.changes |= {"channels": ["web", "meta-link"]}
    assert loft.run().record.images_published == 2
    shown = {row["channel"]: decode(loft.objects.read(row["key"]), 1 << 40).rgb for row in loft.live()}
    for name, edges in {"web": False, "meta-link": True}.items():
        left, right = (shown[name][:, at].reshape(-1, 3).mean(axis=0) for at in (slice(None, 5), slice(-5, None)))
        assert (left[0] > left[2] + 100, right[2] > right[0] + 100) == (edges, edges), name
    assert not loft.plan().jobs


def test_another_photograph_under_the_same_name_makes_the_pictures_anew(loft: Shop) -> None:
    loft.changes["variants"] = ONE_SCENE | {"scenes": ["loft", "wooden-table"]}
    loft.run()
    assert not loft.plan().jobs
    Image.fromarray(wooden_table(100)[::-1]).save(loft.folder / "own" / "photos" / "loft.png")
    [job] = loft.plan().jobs
    assert [(one.spec.scene, one.reason) for one in job.variants] == [("loft", "scene changed")]
    assert loft.run().record.images_published == 1
    assert not loft.plan().jobs


def test_where_the_photograph_lies_changes_nothing(loft: Shop) -> None:
    loft.run()
    loft.changes["library"] = [str((loft.folder / "own").rename(loft.folder / "moved"))]
    assert loft.plan().skipped == 1
    assert loft.plan().jobs == ()


def test_a_photograph_may_lie_in_a_bucket(loft: Shop, s3: S3Server) -> None:
    bucket = s3.make_bucket("photographs")
    file = loft.folder / "own" / "photos" / "loft.png"
    ObjectStore(bucket).write("places/loft.png", file.read_bytes())
    write_library(loft.folder / "own", loft=LOFT | {"photos": [f"{bucket}/places/loft.png"]})
    file.unlink()
    assert loft.run().record.images_published == 1
    ObjectStore(bucket).delete(["places/loft.png"])
    with pytest.raises(ConfigError, match=r"s3://photographs/places/loft\.png: no such file"):
        loft.run()


def test_further_seeds_show_further_photographs(loft: Shop) -> None:
    Image.fromarray(wooden_table(96)[::-1]).save(loft.folder / "own" / "photos" / "other.png")
    several = LOFT | {"photos": ["photos/loft.png", str(loft.folder / "own" / "photos" / "other.png")]}
    (loft.folder / "own" / "scenes" / "table.yaml").write_text(yaml.safe_dump({"loft": several}))
    loft.changes["variants"] = ONE_SCENE | {"images": 3}
    [job] = loft.plan().jobs
    shown = [one.spec.scene_photo for one in job.variants]
    assert len(set(shown)) == 2
    assert shown[0] == shown[2]
    assert loft.run().record.images_published == 3


def test_a_model_that_lights_products_there_or_draws_them_there_still_does(
    loft: Shop, drawn: list[RenderRequest]
) -> None:
    loft.changes["variants"] = ONE_SCENE | {"techniques": ["restyle", "regenerate"]}
    assert loft.run().record.images_published == 2
    assert sorted(request.guide is not None for request in drawn) == [False, True], "and no scene is drawn"
    assert {"loft" in request.prompt for request in drawn} == {True}
    marks = {row["technique"]: read_marks(loft.objects.read(row["key"])).source_type for row in loft.live()}
    assert marks == {"restyle": "composite", "regenerate": "generated"}


def test_a_photograph_that_is_lost_from_the_cache_is_taken_anew(loft: Shop) -> None:
    loft.run()
    loft.objects.delete(loft.keys("cache/scenes"))
    loft.add("vase", 1)
    assert loft.run().record.images_published == 1


def test_one_that_is_lost_during_the_run_is_taken_anew_too(loft: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import pipeline

    planned, lost = pipeline.plan_run, list[str]()

    def plan_then_lose(*given: Any) -> Any:
        plan = planned(*given)
        if not lost:
            lost.extend(loft.keys("cache/scenes"))
            loft.objects.delete(lost)
        return plan

    monkeypatch.setattr(pipeline, "plan_run", plan_then_lose)
    assert loft.run().record.images_published == 1
    assert len(lost) == 1


def test_what_was_rejected_there_does_not_come_again_as_it_was(loft: Shop) -> None:
    loft.changes["variants"] = ONE_SCENE | {"backgrounds": ["scene", "sage"]}
    assert loft.run().record.images_published == 2
    say(loft, rejected=loft.live())
    assert loft.plan().jobs == (), "in a photograph, or before a flat colour, another seed may show the same"


@pytest.mark.parametrize(
    ("photo", "size", "said"),
    [
        ("photos/gone.png", None, "no such file"),
        ("photos/small.png", (40, 60), "40 pixels on its shorter side; the model draws 64"),
        ("photos/torn.png", (100, 100), "damaged or cut off"),
        ("https://example.com/a.png", None, "is a web address; copy the photograph"),
        ("ftp://example.com/a.png", None, "has a scheme other than"),
        ("photos", None, "no such file"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_scene_before_anything_is_made(
    loft: Shop, photo: str, size: tuple[int, int] | None, said: str
) -> None:
    file = loft.folder / "own" / photo
    if size:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)).save(file)
    if "torn" in photo:
        file.write_bytes(file.read_bytes()[:-4000])
    bad = {"title": "Bad", "prompt": "bad", "photos": [photo]}
    write_library(loft.folder / "own", loft=LOFT, bad=bad, worse=bad | {"photos": ["worse.png"]})
    loft.changes["variants"] = ONE_SCENE | {"scenes": ["bad", "worse", "loft"]}
    with pytest.raises(ConfigError) as fault:
        loft.run()
    assert str(fault.value).count("scene '") == 2, "all are named at once"
    assert "scene 'bad': " in str(fault.value)
    assert said in str(fault.value)
    loft.changes["variants"] = ONE_SCENE
    assert [job.images for job in loft.plan().jobs] == [1], "a scene that is not asked for is nobody's trouble"


def test_a_scene_that_can_be_neither_drawn_nor_shown_is_refused(loft: Shop) -> None:
    write_library(loft.folder / "own", loft={"title": "Our loft", "prompt": "on a table in a loft"})
    with pytest.raises(ConfigError, match="give empty_prompt, or photos of it"):
        loft.run()
