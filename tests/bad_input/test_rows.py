"""A bad row costs itself, by name; an odd one that can be made is made, and its SKU stays one harmless name."""

from typing import Any

import pytest

from catalog_schemas.rejection import Reason
from tasks.planning.changes import read_changes
from tasks.planning.rows import changed_rows
from tasks.storage.tables import Tables
from tests.bad_input.night import BAD, Night, assert_names_stay_inside

MISSING, INVALID = Reason.ROW_FIELD_MISSING, Reason.ROW_FIELD_INVALID
DOUBLE, PHOTOLESS = Reason.ROW_DUPLICATE_SKU, Reason.ROW_NO_REFERENCES

REFUSED: dict[str, tuple[dict[str, Any], Reason, str]] = {
    "null sku": ({"sku": None}, MISSING, "sku is empty"),
    "blank sku": ({"sku": " \t\u3000 "}, MISSING, "sku is empty"),
    "duplicate sku": ({"sku": "good-1"}, DOUBLE, "that one is kept"),
    "duplicate sku but for blanks": ({"sku": " good-1 "}, DOUBLE, "that one is kept"),
    "sku with a newline": ({"sku": "a\nb"}, INVALID, "U+000A"),
    "sku with NUL": ({"sku": "a\0b"}, INVALID, "U+0000"),
    "sku with a zero width space": ({"sku": "good\u200b-1"}, INVALID, "U+200B"),
    "sku with a soft hyphen": ({"sku": "good\u00ad-1"}, INVALID, "U+00AD"),
    "sku with a variation selector": ({"sku": "good-1\ufe0f"}, INVALID, "U+FE0F"),
    "sku with a Hangul filler": ({"sku": "good-1\u3164"}, INVALID, "U+3164"),
    "sku turned right to left": ({"sku": "\u202egpj.dab"}, INVALID, "U+202E"),
    "sku of 300 characters": ({"sku": "x" * 300}, INVALID, "300 characters"),
    "sku too long for a file name": ({"sku": "\N{HOT BEVERAGE}" * 100}, INVALID, "900 bytes"),
    "sku of one byte too many": ({"sku": "x" * 248 + "/" * 3}, INVALID, "257 bytes"),
    "null title": ({"title": None}, MISSING, "title is empty"),
    "empty noun": ({"class_noun": ""}, MISSING, "class_noun is empty"),
    "blank noun": ({"class_noun": "\n "}, MISSING, "class_noun is empty"),
    "long noun": ({"class_noun": "mug " * 200}, INVALID, "799 characters"),
    "noun with an escape sequence": ({"class_noun": "mug\x1b[2J"}, INVALID, "U+001B"),
    "title of 100,000 characters": ({"title": "long " * 20_000}, INVALID, "99,999 characters"),
    "title with a bell": ({"title": "Mug\x07"}, INVALID, "U+0007"),
    "title with an override": ({"title": "Mug \u202egpj.exe"}, INVALID, "U+202E"),
    "title with an isolate": ({"title": "Mug \u2066x"}, INVALID, "U+2066"),
    "title with a line separator": ({"title": "Mug\u2028x"}, INVALID, "U+2028"),
    "category of 10,000 characters": ({"category": "c" * 10_000}, INVALID, "10,000 characters"),
    "no list of references": ({"references": None}, PHOTOLESS, "references is empty"),
    "empty list of references": ({"references": []}, PHOTOLESS, "references is empty"),
    "blank references": ({"references": ["", None, "  "]}, PHOTOLESS, "references is empty"),
    "20,000 references": ({"references": ["photos-bad/0.png"] * 20_000}, INVALID, "at most 1,000"),
    "20,000 masks": ({"masks": ["photos-bad/0.png"] * 20_000}, INVALID, "at most 1,000"),
    "20,000 attributes": ({"attributes": {f"a{n}": "x" for n in range(20_000)}}, INVALID, "at most 1,000"),
    "attribute of a megabyte": ({"attributes": {"a": "x" * 2**20}}, INVALID, "1,048,576 characters"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_row_has_its_reason_and_costs_itself_alone(night: Night, unharmed, name: str) -> None:
    fields, reason, says = REFUSED[name]
    night.add(**fields)
    judged = night.judge()
    (verdict,) = judged.rejections
    assert (verdict.stage, verdict.reason, verdict.subject) == ("read_catalog", reason, "row 2")
    assert says in verdict.detail
    assert len(verdict.detail) < 500
    assert verdict.detail.isprintable()
    assert verdict.sku.isprintable() or not verdict.sku
    assert len(judged.plan.jobs) == 2
    assert (judged.plan.rows, judged.plan.quarantined) == (3, (verdict.sku,))
    unharmed(judged)


INERT: dict[str, dict[str, Any]] = {
    "sku that climbs": {"sku": "../../x"},
    "sku of one dot": {"sku": "."},
    "sku of two dots": {"sku": ".."},
    "sku that is a device of Windows": {"sku": "CON"},
    "sku with slashes": {"sku": "/etc/passwd"},
    "sku with backslashes": {"sku": "..\\..\\x"},
    "sku with marks of a URL": {"sku": "a?versionId=1#b%2e%2e%2fc&d"},
    "sku with globs": {"sku": "*[a-z]?"},
    "sku that looks encoded": {"sku": safe} if (safe := "%2E%2E%2Fgood-1") else {},
    "sku that is a temporary name": {"sku": ".tmp-good-1"},
    "sku of the look-alike o": {"sku": "g\N{CYRILLIC SMALL LETTER O}od-1"},
    "sku in capitals": {"sku": "GOOD-1"},
    "sku in full width": {"sku": "good-\N{FULLWIDTH DIGIT ONE}"},
    "sku with an emoji": {"sku": "mug-\N{HOT BEVERAGE}\N{PILE OF POO}"},
    "sku with quotes": {"sku": "'; DROP TABLE images; --\""},
    "sku that is an option": {"sku": "--force"},
    "sku that is a number": {"sku": "007"},
    "sku as long as a name on disk": {"sku": "a-long-handle-of-a-shop-" * 10 + "x" * 15},
    "title with a jinja expression": {"title": "{{7*7}}{% raw %}"},
    "title with a format field": {"title": "{0.__class__.__mro__}{title} %s %(sku)s ${HOME}"},
    "noun with a format field": {"class_noun": "{0.__class__} %s {{7*7}}"},
    "title with a formula": {"title": "=cmd|' /C calc'!A0"},
    "title with HTML": {"title": "<script>alert(1)</script><img src=x onerror=alert(1)>"},
    "title with joiners": {"title": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f469\u200d\U0001f373"},
    "title with right to left text": {"title": "\u05db\u05d5\u05e1\u200f 330 ml"},
    "attributes with HTML": {"attributes": {"<b>": "<script>\n{{7*7}}", "": "", "=x": "=1+1"}},
    "locale of no language": {"locale": "klingon-XX"},
}


@pytest.mark.parametrize("name", INERT)
def test_an_odd_row_is_made_as_it_stands(night: Night, unharmed, name: str) -> None:
    fields = INERT[name]
    night.add(**fields)
    before = sorted(night.folder.rglob("*"))
    judged = night.judge()
    assert not judged.rejections
    sku = fields.get("sku", BAD)
    job = judged.job(sku)
    assert job
    assert len(judged.fate(sku).prepared) == 2
    for field, value in fields.items():
        assert getattr(job.product, field) == value
    drawn = [planned.spec.prompt for planned in job.variants if planned.spec.technique == "regenerate"]
    assert drawn
    assert all(f"sks {job.product.class_noun}" in prompt for prompt in drawn)
    assert_names_stay_inside([sku, "good-1", "good-2"])
    assert {path.parent for path in set(night.folder.rglob("*")) - set(before)} <= {
        night.folder,
        *night.folder.glob("photos-good-*"),
    }
    unharmed(judged)


def test_a_sku_has_one_spelling_so_what_the_store_knows_of_it_is_found_again(night: Night) -> None:
    night.add(" cafe\u0301 ")
    context = (judged := night.judge()).context
    changed_rows(context, changes := read_changes(context, Tables(context.open()), {}))
    assert "caf\u00e9" in changes.seen
    assert "caf\u00e9" in changes.fingerprints
    assert judged.job("caf\u00e9")


def test_a_duplicate_is_found_after_unicode_normalisation(night: Night, unharmed) -> None:
    night.add("caf\u00e9")
    night.add("cafe\u0301")
    judged = night.judge()
    assert judged.verdicts("cafe\u0301") + judged.verdicts("caf\u00e9") == [("read_catalog", DOUBLE)]
    assert [job.product.sku for job in judged.plan.jobs] == ["good-1", "caf\u00e9", "good-2"]
    unharmed(judged)
