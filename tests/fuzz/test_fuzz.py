"""Mutated files give a result or a verdict: no other error, no hang, no memory without end.

`make soak` runs these for minutes. A failure names the seed of its round, which gives the same bytes again:
`pytest tests/fuzz --fuzz-seed 4711`.
"""

import io
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import ImageCms

from catalog_schemas.errors import CatalogError, Rejected
from catalog_schemas.product import CATALOG_SCHEMA
from tasks.imaging.decode import decode
from tasks.read_catalog import RowReader, catalog_batches
from tests.bad_input.night import bounded
from tests.drawn_products import draw_photo, product_row
from tests.imaging.pictures import encoded, tiff
from tests.importers.shop import SAMPLES, imported

NOW = datetime(2026, 11, 23, tzinfo=UTC)
PHOTO = draw_photo(1)[0]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHOTOS = [
    encoded(PHOTO, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0", icc_profile=SRGB),
    encoded(PHOTO, "JPEG", progressive=True),
    encoded(PHOTO.convert("CMYK"), "JPEG"),
    encoded(PHOTO, "PNG", icc_profile=SRGB),
    encoded(PHOTO.convert("P"), "PNG", transparency=1),
    encoded(PHOTO.convert("LA"), "PNG"),
    encoded(PHOTO, "PNG", save_all=True, append_images=[PHOTO.rotate(9)]),
    encoded(PHOTO, "WEBP", icc_profile=SRGB),
    encoded(PHOTO, "WEBP", lossless=True, save_all=True, append_images=[PHOTO.rotate(9)]),
    encoded(PHOTO, "TIFF", compression="tiff_lzw", icc_profile=SRGB),
    encoded(PHOTO, "TIFF", compression="jpeg", save_all=True, append_images=[PHOTO.rotate(9)]),
    tiff(np.asarray(PHOTO).astype(np.uint16) * 257, tile=(32, 32)),
    encoded(PHOTO, "AVIF", icc_profile=SRGB),
    encoded(PHOTO.convert("LA"), "AVIF"),
    encoded(PHOTO, "HEIF", tile_size=32),
    encoded(PHOTO.convert("RGBA"), "HEIF", save_all=True, append_images=[PHOTO.rotate(9)]),
]
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1)


def catalogs() -> list[bytes]:
    rows = [product_row(f"sku-{n}", [f"photos/{n}.jpg"] * (n % 4), title="Mug " * n) for n in range(40)]
    table = pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA)
    options = [{}, {"compression": "none"}, {"compression": "zstd", "row_group_size": 7}, {"use_dictionary": False}]
    written = []
    for option in options:
        sink = io.BytesIO()
        pq.write_table(table, sink, **option)
        written.append(sink.getvalue())
    return written


def mutated(seed: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """One to eight of the harms that transfers and attackers do."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 8)):
        if not data:
            break
        at, length = chance.randrange(len(data)), chance.choice((1, 2, 4, 8, 64, 1000))
        kind = chance.choice(("flip", "number", "cut", "drop", "repeat", "splice", "zero"))
        if kind == "flip":
            data[at] ^= 1 << chance.randrange(8)
        elif kind == "number":
            width = chance.choice((1, 2, 4, 8))
            number = chance.choice(NUMBERS) & (256**width - 1)
            data[at : at + width] = number.to_bytes(width, chance.choice(("big", "little")))
        elif kind == "cut" and chance.random() < 0.2:
            del data[at:]
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "repeat":
            data[at:at] = data[at : at + length] * chance.choice((1, 2, 50))
        elif kind == "splice":
            other = chance.choice(others)
            begin = chance.randrange(len(other))
            data[at : at + length] = other[begin : begin + length]
        else:
            data[at : at + length] = bytes(length)
    return bytes(data)


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Iterator[int]:
    """Seeds until the time is up."""
    seed, end = request.config.getoption("--fuzz-seed", 0), time.monotonic()
    end += request.config.getoption("--fuzz-seconds", 2.0)
    return takewhile(lambda _: time.monotonic() < end, count(seed))


@contextmanager
def one_round(seed: int) -> Iterator[random.Random]:
    try:
        with bounded(seconds=20, mebibytes=500):
            yield random.Random(seed)
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise


@pytest.mark.filterwarnings("ignore")
def test_the_image_decoder_gives_pixels_or_a_verdict(rounds) -> None:
    for seed in rounds:
        with one_round(seed) as chance, suppress(Rejected):
            assert decode(mutated(chance.choice(PHOTOS), PHOTOS, chance), 1_000_000).rgb.size <= 3_000_000


def test_the_importers_give_a_catalog_or_a_verdict(rounds) -> None:
    files = {kind: sample.encode() for kind, sample in SAMPLES.items()}
    for seed in rounds:
        with one_round(seed) as chance:
            kind = chance.choice(sorted(files))
            imported(kind, mutated(files[kind], list(files.values()), chance))


@pytest.mark.soak
def test_the_catalog_reader_gives_rows_or_a_verdict(rounds, tmp_path: Path) -> None:
    seeds, file = catalogs(), tmp_path / "catalog.parquet"
    for seed in rounds:
        with one_round(seed) as chance, suppress(CatalogError):
            file.write_bytes(mutated(chance.choice(seeds), seeds, chance))
            reader, first = RowReader("run", NOW), 1
            for batch in catalog_batches(str(file)):
                rows = batch.to_pylist(maps_as_pydicts="lossy")
                verdicts = reader.read(rows, list(range(first, first + len(rows))))
                assert len(verdicts.products) + len(verdicts.rejections) == len(rows)
                first += len(rows)
