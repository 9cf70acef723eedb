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
    assert str(refused.value).startswith("SKUs that are not in the catalog (22):\n")
    assert str(refused.value).endswith("\n  and 2 more")


@pytest.mark.parametrize("typo", ["mug-00", "mug-0000", "mug-1999"])
def test_what_was_meant_is_found_at_either_end_of_a_catalog(typo: str) -> None:
    with pytest.raises(ConfigError, match=rf"- {typo} \(did you mean mug-\d\d\d\?\)$"):
        refuse_unknown([typo], {f"mug-{number:03}" for number in range(200)})


def test_a_sku_in_other_letters_case_is_the_one_that_was_meant() -> None:
    seen = {f"MUG-BLUE-{number}" for number in range(200)} | {f"mug-{number}" for number in range(200)}
    with pytest.raises(ConfigError, match=r"- mug-blue-7 \(did you mean MUG-BLUE-7\?\)$"):
        refuse_unknown(["mug-blue-7"], seen)
