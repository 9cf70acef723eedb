"""Laws that hold for every importer and every file."""

import csv
import io
import json
import time
import tracemalloc
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.commands.command_line import main
from tasks.import_catalog import import_catalog
from tasks.importers import find_importer, kinds
from tasks.importers.formats import lines
from tasks.importers.formats.html import html_to_text
from tests.importers.shop import ROW, SAMPLES, Shop, feed, fields, imported

text = st.text(st.characters(codec="utf-8"), max_size=60)
quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_there_is_a_sample_of_every_kind():
    assert kinds() == sorted(SAMPLES)
    assert all(callable(find_importer(kind).products) for kind in kinds())


@pytest.mark.parametrize("kind", sorted(SAMPLES))
@quick
@given(data=st.data())
def test_mutated_bytes_crash_no_importer(kind: str, data: st.DataObject):
    content = bytearray(SAMPLES[kind].encode())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 40))
        content[at : at + length] = data.draw(
            st.one_of(st.binary(max_size=8), st.sampled_from([b'"', b"\n", b"\0", b"<", b"&", b",,", b"\xef\xbb\xbf"]))
        )
    imported(kind, bytes(content))


@pytest.mark.parametrize("kind", sorted(SAMPLES))
@quick
@given(st.binary(max_size=200))
def test_any_bytes_crash_no_importer(kind: str, content: bytes):
    imported(kind, content)


@quick
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(("title", "category", "story"), text)), min_size=1, max_size=5))
def test_any_text_survives_or_is_reported(tmp_path: Path, rows: list[dict[str, str]]):
    shop = Shop(tmp_path)
    full = [{"sku": str(n), "class_noun": "mug", "photos": "a.jpg"} | row for n, row in enumerate(rows)]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(full[0]), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(full)
    for kind, content in (("csv", buffer.getvalue()), ("jsonl", "\n".join(map(json.dumps, full)))):
        report = shop.imports(kind, content)
        products, _ = shop.read()
        assert report.left_out == 0
        assert len(products) + sum(report.refused.values()) == len(rows)
        for product in products.values():
            row = rows[int(product.sku)]
            assert product.title == row["title"].strip()
            assert product.category == row["category"].strip()
            assert product.attributes.get("story", "") == row["story"].strip()


@given(st.text(alphabet="<>/!-&;'\" abscript[CDATA]=\n", max_size=120))
def test_any_html_becomes_text(html: str):
    assert html_to_text(html) == html_to_text(html).strip()


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>One</p><p>Two<br>Three</p>", "One\nTwo\nThree"),
        ("<script>alert('<p>x</p>')</script>After</script>", "After"),
        ("<style>p{}</style><svg><text>x</text></svg>Kept<!-- not this --><![CDATA[nor this]]>", "Kept"),
        ("&lt;b&gt; &amp;nbsp; &#x1F375;", "<b> &nbsp; 🍵"),
        ("<img src=x onerror=alert(1)>Mug <a href='javascript:x'>here</a>", "Mug here"),
        ("<p>Open <b>tags", "Open tags"),
        ("plain\n\n  text ", "plain\ntext"),
        ("a < b", "a < b"),
        ("<script>never closed", ""),
        ("<![if IE]>x", "x"),
        ("Mug<svg/> with <iframe src='x'/>handle", "Mug with handle"),
        (f"Mug &#{'9' * 5000};", f"Mug &#{'9' * 5000};"),
    ],
)
def test_html_reads_as_a_person_would(html: str, expected: str):
    assert html_to_text(html) == expected


def test_a_line_that_is_too_long_to_hold_is_one_line_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines, "LINE_MAXIMUM", 10)
    (tmp_path / "file").write_text("x" * 25 + "\n" + "y" * 10 + "\r\nend")
    with lines.open_lines(tmp_path / "file") as read:
        assert list(read) == ["x" * 10, "y" * 10, "end"]


def test_long_html_takes_no_time():
    started = time.process_time()
    for piece in ("<", "<!", "&#1", "<a ", "<script", "<!--", "</", "<a b='", "<a b=\"'", '<a b=">"', "<svg>", "<a="):
        assert len(html_to_text(piece * 100_000)) <= 200_000
    assert time.process_time() - started < 10


def long_file(file: Path, kind: str, count: int) -> None:
    story = "a long story " * 8
    mug = {"title": "Mug", "category": "Mugs", "photos": "a.jpg", "story": story}
    write = {
        "csv": lambda n: f"{n},Mug,Mugs,a.jpg,{story}\n",
        "jsonl": lambda n: json.dumps(mug | {"sku": str(n)}) + "\n",
        "google": lambda n: f"<item>{fields(**ROW | {'id': str(n), 'description': story})}</item>\n",
        "shopify": lambda n: f"mug-{n},Mug,Mugs,<p>{story}</p>,https://cdn.example.com/a.jpg\n",
    }[kind]
    before, _, after = {"google": feed("|")}.get(kind, "|").replace("<item>", "").replace("</item>", "").partition("|")
    header = {"csv": "sku,title,category,photos,story\n", "shopify": "Handle,Title,Type,Body (HTML),Image Src\n"}
    with file.open("w", encoding="utf-8") as opened:
        opened.write(header.get(kind, before))
        opened.writelines(write(n) for n in range(count))
        opened.write(after)


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_a_longer_file_takes_no_more_memory(tmp_path: Path, kind: str):
    def peak(count: int) -> int:
        long_file(tmp_path / "file", kind, count)
        tracemalloc.start()
        report = import_catalog(kind, str(tmp_path / "file"), str(tmp_path / "out.parquet"), rows_per_group=100)
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert report.products == count
        assert pq.ParquetFile(tmp_path / "out.parquet").metadata.num_row_groups == -(-count // 100)
        return taken

    peak(100)  # warms up
    remembered = 1_000 * 2 * 150  # the SKUs and handles that were seen, against doubles
    most = 1.2 * peak(300) + remembered
    assert peak(1_300) < most or peak(1_300) < most, "the first may see Python's table of names grow"


def test_the_command_line_tells_people_and_machines(shop: Shop, capsys: pytest.CaptureFixture[str]):
    file = shop.folder / "file.csv"
    file.write_text(
        "sku,title,category,photos\n1,Mug,Mugs,a.jpg\n2,Odd\x1b[2J,Accessories,b.jpg\n3\n", encoding="utf-8"
    )
    assert main(["import", "csv", str(file), "--out", str(shop.catalog)]) == 0
    told = capsys.readouterr().out
    assert "2 products written" in told
    assert "no class noun for 'Accessories': 1 (first: line 3, SKU 2)" in told
    assert "line 4: expected 4 cells, got 1" in told
    assert "\x1b" not in told
    assert "LEFT OUT" not in told
    assert main(["import", "csv", str(file), "--out", str(shop.catalog), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["class_nouns"]["unknown"][0]["category"] == "Accessories"
    assert (facts["products"], facts["left_out"], facts["refused"]) == (2, 1, {"row_field_missing": 1})
    file.write_text("sku,title,category,photos\n1,Mug,Mugs,a.jpg\n2\n3\n", encoding="utf-8")
    assert main(["import", "csv", str(file), "--out", str(shop.catalog)]) == 0
    assert "MORE ROWS WERE LEFT OUT, 2," in capsys.readouterr().out.splitlines()[1]
    assert main(["import", "shopify", str(file), "--out", str(shop.catalog)]) == 2
    assert "'handle'" in capsys.readouterr().err
