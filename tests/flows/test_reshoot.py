"""The list of what to photograph again: everything that is wrong today, and nothing that was put right."""

import csv
import io
from pathlib import Path

from PIL import Image

from catalog_schemas.rejection import Reason
from flows.pipeline import RunOutcome
from tasks.exporting.cells import inert
from tasks.reporting.reshoot import COLUMNS, _line
from tests.drawn_products import draw_photo
from tests.flows.shop import Shop

QUICK = {"variants": {"techniques": ["packshot"], "colours": ["original"]}}


def listed(outcome: RunOutcome) -> list[tuple[str, str, str]]:
    """SKU, photo and what is wrong, of every line."""
    if not outcome.report.reshoot_skus:
        assert not outcome.report.reshoot
        return []
    text = Path(outcome.report.reshoot).read_bytes().decode("utf-8-sig")
    head, *rows = csv.reader(io.StringIO(text))
    assert tuple(head) == COLUMNS
    assert len({row[0] for row in rows}) == outcome.report.reshoot_skus
    assert all(all(cell for cell in (row[0], row[3], row[4], row[5])) for row in rows)
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    return [(row[0], row[2], row[3]) for row in rows]


def test_the_list_tells_what_is_wrong_until_it_is_put_right(shop: Shop) -> None:
    shop.changes = QUICK
    blank, other = shop.folder / "photos-0" / "blank.png", shop.folder / "photos-1" / "other.png"
    shop.add("=1+1", 0, title='=HYPERLINK("http://x","<b>Mug</b>")', masks=[])
    shop.rows[-1]["references"] += ["photos-0/blank.png", "photos-0/gone.png"]
    Image.new("RGB", (96, 96), (200, 10, 10)).save(blank)
    shop.add("bare", 1, references=["photos-1/other.png"], masks=[])
    other.write_bytes(b"<html>not found</html>")
    shop.add("fine", 2)
    first = shop.run()
    assert listed(first) == [
        ("bare", "", "none of its photos can be used, so no image is made"),
        ("bare", "photos-1/other.png", "the file is damaged, or of a kind that is not read"),
        ("'=1+1", "photos-0/blank.png", "the photo shows nothing but one colour"),
        ("'=1+1", "photos-0/gone.png", "the photo is not where the catalog says"),
    ]
    page = Path(first.report.gallery).read_text()
    assert "Photos to mend (4)" in page
    assert "&lt;b&gt;Mug" in page
    assert "<b>Mug" not in page
    assert 'href="reshoot.csv"' in page

    shop.add("new", 3)
    assert listed(shop.run()) == listed(first), "a night that looks at none of them still has them"

    draw_photo(1, 8)[0].save(other)
    assert [row[:2] for row in listed(shop.run())] == [("'=1+1", "photos-0/blank.png"), ("'=1+1", "photos-0/gone.png")]

    draw_photo(0, 7)[0].save(shop.folder / "photos-0" / "gone.png")
    assert [row[:2] for row in listed(shop.run())] == [("'=1+1", "photos-0/blank.png")]

    Image.new("RGB", (96, 96), (10, 200, 10)).save(blank)
    assert [row[:2] for row in listed(shop.run())] == [("'=1+1", "photos-0/blank.png")], "another blank one"

    shop.rows[0]["references"].remove("photos-0/blank.png")
    assert listed(shop.run()) == []


def test_what_is_said_of_a_photo_stays_whole_where_the_catalog_lies_at_the_root() -> None:
    said = {"sku": "mug", "reason": Reason.REFERENCE_MISSING, "subject": "/photos/a.png"}
    said |= {"detail": "/photos/a.png: nothing is there"}
    for folder, photo, detail in (
        ("/", "photos/a.png", "/photos/a.png: nothing is there"),
        ("/photos/", "a.png", "a.png: nothing is there"),
    ):
        line = _line(said, "Mug", folder)
        assert (line.photo, line.detail) == (photo, detail)


def test_no_cell_is_a_formula() -> None:
    for cell in ("=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", " =1", "＝1"):
        assert inert(cell) == f"'{cell}"
    for cell in ("", "a=1", "mug, red", "'x"):
        assert inert(cell) == cell
