"""What is said of SKUs that the catalog does not hold."""

import time

import pytest

from catalog_schemas.errors import ConfigError
from tasks.planning.unknown_skus import UNKNOWN_SHOWN, refuse_unknown


def test_mistyped_skus_of_a_large_catalog_are_found_within_seconds() -> None:
    seen = {f"SHOP-{number:07d}-BLK-XL" for number in range(100_000)}
    typos = {"SHOP-0012345-BLU-XL": "SHOP-0012345-BLK-XL", "SHQP-0054321-BLK-XL": "SHOP-0054321-BLK-XL"}
    started = time.process_time()
    with pytest.raises(ConfigError) as refused:
        refuse_unknown([*typos, *["quite another"] * UNKNOWN_SHOWN], seen)
    assert time.process_time() - started < 5.0
    for typo, meant in typos.items():
        assert f"{typo} (did you mean {meant}?)" in str(refused.value)
