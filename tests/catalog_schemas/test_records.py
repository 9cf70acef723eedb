"""Laws of identity, and the way of every record to Arrow and JSON and back."""

import dataclasses
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog_schemas.adapter import AdapterRecord, AdapterSpec
from catalog_schemas.arrow import from_table, to_table
from catalog_schemas.draft import Draft
from catalog_schemas.errors import PackshotError
from catalog_schemas.identity import canonical_json, content_id
from catalog_schemas.image import CheckResult, ImageRecord
from catalog_schemas.reference import Photo, PhotoRecord, Reference
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.review import Review, Verdict
from catalog_schemas.run import RunRecord
from catalog_schemas.sku import SkuRecord
from catalog_schemas.variant import VariantSpec
from tasks.storage.table_rows import TABLES

RECORDS = [
    *(AdapterSpec, AdapterRecord, Draft, CheckResult, ImageRecord, Photo, PhotoRecord, Reference, Rejection),
    *(Review, RunRecord, SkuRecord),
    VariantSpec,
]
scalars = st.one_of(st.text(), st.integers(-(2**53), 2**53), st.booleans(), st.none(), st.floats(allow_nan=False))
finite = scalars.filter(lambda value: not (isinstance(value, float) and value in (float("inf"), float("-inf"))))
values = st.recursive(
    finite, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4))
)


def _shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        items = [(key, _shuffled(item)) for key, item in value.items()]
        random.shuffle(items)
        return dict(items)
    return [_shuffled(item) for item in value] if isinstance(value, list) else value


def _dropped(value: Any) -> Any:
    if isinstance(value, dict):
        pruned = {key: _dropped(item) for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item not in (None, "", [], {}) or item in (0, False)}
    return [_dropped(item) for item in value] if isinstance(value, list) else value


@given(values)
def test_canonical_json_does_not_know_the_order_of_keys(value: Any) -> None:
    assert canonical_json(_shuffled(value)) == canonical_json(value)


@given(values)
def test_canonical_json_is_json_without_empty_fields(value: Any) -> None:
    assert json.loads(canonical_json(value)) == json.loads(json.dumps(_dropped(value)))


@given(values, values)
def test_different_meanings_have_different_texts(one: Any, other: Any) -> None:
    same = json.dumps(_dropped(one), sort_keys=True) == json.dumps(_dropped(other), sort_keys=True)
    assert (canonical_json(one) == canonical_json(other)) == same


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_is_no_number_has_no_identity(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(value)


@dataclass(frozen=True)
class _Old:
    name: str
    size: int


@dataclass(frozen=True)
class _New:
    name: str
    size: int
    colour: str = ""
    tags: tuple[str, ...] = ()
    note: str | None = None


def test_a_new_optional_field_keeps_the_identities_of_what_does_not_use_it() -> None:
    assert content_id(_New("a", 0)) == content_id(_Old("a", 0))
    assert content_id(_New("a", 0, colour="red")) != content_id(_Old("a", 0))


def test_zero_and_false_are_no_empty_fields() -> None:
    assert canonical_json({"a": 0, "b": False, "c": 0.0}) == '{"a":0,"b":false,"c":0.0}'


def _strategy(hint: Any) -> st.SearchStrategy[Any]:
    if get_origin(hint) is tuple:
        return st.lists(_strategy(get_args(hint)[0]), max_size=3).map(tuple)
    if type(None) in get_args(hint):
        return st.one_of(st.none(), *(_strategy(one) for one in get_args(hint) if one is not type(None)))
    if get_args(hint):
        return st.sampled_from(get_args(hint))
    return {
        str: st.text(st.characters(exclude_categories=["Cs"])),
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
        Reason: st.sampled_from(Reason),
        Verdict: st.sampled_from(Verdict),
        datetime: st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),
    }[hint]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@settings(max_examples=25)  # of each
@given(data=st.data())
def test_a_record_comes_back_from_arrow_as_it_was(record: type, data: st.DataObject) -> None:
    hints = get_type_hints(record)
    fields = {field.name: _strategy(hints[field.name]) for field in dataclasses.fields(record)}
    rows = data.draw(st.lists(st.builds(record, **fields), max_size=3))
    assert from_table(record, to_table(record, rows)) == rows


def test_a_moment_of_another_zone_is_the_same_moment_in_a_table() -> None:
    moment = datetime(2030, 5, 1, 12, tzinfo=timezone(timedelta(hours=3)))
    row = SkuRecord("s", "c", "f", "published", 1, "r", moment)
    assert from_table(SkuRecord, to_table(SkuRecord, [row]))[0].updated_at == moment


def test_every_table_holds_a_record_and_its_key() -> None:
    assert TABLES
    for spec in TABLES.values():
        assert spec.record in RECORDS
        assert spec.key in spec.schema.names


def test_the_same_refusal_on_two_nights_is_one_row() -> None:
    first = Rejection(
        "s", "plan", Reason.REFERENCE_MISSING, "a.png", "today", "run-1", datetime(2030, 1, 1, tzinfo=UTC)
    )
    second = dataclasses.replace(first, detail="tomorrow", run_id="run-2", created_at=datetime(2030, 1, 2, tzinfo=UTC))
    assert first.id == second.id
    assert first.id != dataclasses.replace(first, subject="b.png").id


def test_every_error_of_ours_says_how_the_command_ends() -> None:
    kinds = [PackshotError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len(kinds) > 8
    assert all(isinstance(kind.exit_code, int) and kind.exit_code > 0 for kind in kinds)
