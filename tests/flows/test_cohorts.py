"""How many SKUs one task trains."""

from typing import Any

import pytest

from configs.schema import RunConfig
from flows.pipeline import AUTO_COHORT, _cohort_size


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"compute": {"cohort_size": 8}}, 8),
        ({"compute": {"cohort_size": "auto"}}, AUTO_COHORT),
        ({"compute": {"cohort_size": 8, "devices": 50}}, 2),
        ({"training": {"method": "dreambooth"}}, 1),
    ],
)
def test_a_cohort_is_what_trains_at_once_and_a_whole_model_of_its_own_is_kept_alone(
    sections: dict[str, Any], expected: int
) -> None:
    assert _cohort_size(RunConfig.model_validate({"model": {"source": "model"}, **sections}), 100) == expected
