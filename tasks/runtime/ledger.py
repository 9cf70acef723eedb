"""What stages have finished, by content: a stage that finds its record returns it, which is how a killed run resumes.

A record lies at `cache/stages/<stage>/<key>.json`, where the key is the hash of the stage's input. It is written in
one piece after the stage's objects, so it never speaks of something that is not there; a run deletes the records it
used once its tables are committed.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from catalog_schemas.identity import content_id
from catalog_schemas.rejection import PASSING, Rejection
from tasks.storage.keys import is_key
from tasks.storage.objects import ObjectMissing, ObjectStore

Record = TypeVar("Record")
Kept = TypeVar("Kept")


@dataclass(frozen=True)
class StageResult(Generic[Record]):
    """What a stage made, and what it refused; `key` is its record's in the store, which a run deletes at its end."""

    records: tuple[Record, ...]
    rejections: tuple[Rejection, ...] = ()
    key: str = ""

    @classmethod
    def of(cls, outcomes: Sequence[Record | Rejection]) -> "StageResult[Record]":
        """The outcomes of single things, sorted into what was made and what was refused, each in their order."""
        refused = tuple(one for one in outcomes if isinstance(one, Rejection))
        return StageResult(tuple(one for one in outcomes if not isinstance(one, Rejection)), refused)


def once(
    store: ObjectStore, stage: str, record: type[Record], work: Iterable[str], make: Callable[[], StageResult[Record]]
) -> StageResult[Record]:
    """The recorded result of `stage` on the things with the ids `work`, or `make()`, recorded.

    A result with a verdict that may be gone by the next run is not recorded.
    """
    adapter: TypeAdapter[StageResult[Record]] = _adapter(record)  # type: ignore[arg-type]
    key = record_key(stage, work)
    if result := kept(store, key, adapter):
        return result
    result = make()
    if any(one.reason in PASSING for one in result.rejections):
        return result
    result = replace(result, key=key)
    store.write(key, adapter.dump_json(result))
    return result


def recorded(store: ObjectStore, stage: str, record: type[Record]) -> dict[str, StageResult[Record]]:
    """The results of a stage that no run has committed yet, by the keys of their records."""
    adapter: TypeAdapter[StageResult[Record]] = _adapter(record)  # type: ignore[arg-type]
    results = {info.key: kept(store, info.key, adapter) for info in store.list(f"cache/stages/{stage}")}
    return {key: result for key, result in results.items() if result}


def kept(store: ObjectStore, key: str, adapter: TypeAdapter[Kept]) -> Kept | None:
    """What is recorded under `key`; None where the record, or something that it speaks of, is lost or damaged."""
    try:
        text = store.read(key)
        record = adapter.validate_json(text)
    except (ObjectMissing, ValidationError):
        return None
    return record if all(is_key(one) and store.exists(one) for one in keys_in(json.loads(text))) else None


def keys_in(value: Any) -> set[str]:
    """Every text in a JSON document that may be a store key."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return set[str]().union(*map(keys_in, value))
    return {value} if isinstance(value, str) and value.startswith(("images/", "adapters/", "cache/")) else set()


def record_key(stage: str, work: Iterable[str]) -> str:
    """Where the store keeps what `stage` made of the things with the ids `work`."""
    return f"cache/stages/{stage}/{content_id(list(work))}.json"


@cache
def _adapter(record: Any) -> TypeAdapter[StageResult[Any]]:
    return TypeAdapter(StageResult[record])
