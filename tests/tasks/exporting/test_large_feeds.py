"""The memory that a feed takes."""

import csv
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.export import FEEDS

IMAGES, OF_ONE = 100_000, 10


@pytest.mark.parametrize("kind", FEEDS)
def test_a_feed_of_many_images_holds_few_of_them_as_rows(kind: str, tmp_path: Path) -> None:
    skus = [f"SKU-{n // OF_ONE:06}" for n in range(IMAGES)]
    keys = [f"images/{sku}/web/scene_{n:06}.webp" for n, sku in enumerate(skus)]
    rows = pa.table({"sku": skus, "title": skus, "key": keys, "alt_text": skus})
    del skus, keys
    with (tmp_path / "feed").open("w", newline="") as file:
        tracemalloc.start()
        FEEDS[kind](file, rows, "https://shop.example", {})
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 17_000_000, "as Python's rows all of them take twice that"
    with (tmp_path / "feed").open(newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t" if kind == "google" else ","))
    assert len(lines) == IMAGES // (OF_ONE if kind == "google" else 1)
