"""What stores hold keeps its name from one packshot to the next, or all of it would be made again, unasked."""

from typing import Any

import pytest

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.identity import content_id
from catalog_schemas.variant import VariantSpec
from configs.entries import Channel
from configs.schema import CheckConfig
from configs.training import TrainingConfig

NAMES: list[tuple[Any, str, str]] = [
    (TrainingConfig().model_dump(mode="json"), "3de6c13cdecc", "every adapter"),
    (AdapterSpec("mug-1", "mug", "model", ("photo",), "recipe", 3), "6900ede45392", "every adapter"),
    (
        VariantSpec("mug-1", *"abcd", 0, *[""] * 6, ("photo",), 1, 1.0, "", 64, 64, 0.8, 2),
        "b514a812e01b",
        "every image",
    ),
    (Channel(name="web", title="Web").rules, "5b01cb400353", "every rendition"),
    (CheckConfig(name="contrast", minimum=8).model_dump(mode="json"), "6ef1c52f1a14", "what the gate refused"),
]


@pytest.mark.parametrize(("thing", "name", "lost"), NAMES)
def test_the_names_of_what_stores_hold_stay(thing: Any, name: str, lost: str) -> None:
    assert content_id(thing)[:12] == name, (
        f"{lost} of every store would be made again. Give a new field a default that is empty (None, '' or ()), which "
        "identities leave out. Where that is what is meant, say so in CHANGELOG.md, and write the new name here"
    )
