"""What people have said of published images, as plans, exports and galleries need it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.identity import content_id
from catalog_schemas.review import Verdict
from tasks.storage.tables import Tables

Picture = tuple[str, str]  # the id of its variant, and its slot


def reviewed(tables: Tables, verdict: Verdict, skus: Sequence[str] | None = None) -> set[Picture]:
    """The pictures with that verdict: all, or those of some SKUs. Raises StoreError."""
    wanted: list[tuple[str, str, Any]] = [("verdict", "==", str(verdict))]
    if skus is not None:
        wanted.append(("sku", "in", list(skus)))
    rows = tables.read("reviews", ["variant_id", "slot"], wanted)
    return set(zip(rows["variant_id"].to_pylist(), rows["slot"].to_pylist(), strict=True))


class Verdicts:
    """What people have said of all pictures, or of those of some SKUs; with what they wrote, where `notes` are wanted.

    Raises StoreError.
    """

    def __init__(self, tables: Tables, skus: Sequence[str] | None = None, notes: bool = False) -> None:
        filters = None if skus is None else [("sku", "in", list(skus))]
        columns = ["sku", "variant_id", "slot", "verdict", *(["note"] if notes else [])]
        self._said = tables.read("reviews", columns, filters).combine_chunks()
        self._pictures = pictures_of(self._said)

    @property
    def rejected_skus(self) -> pa.Array:
        """The SKUs of which pictures are rejected."""
        return self._said.filter(pc.equal(self._said["verdict"], Verdict.REJECTED))["sku"].unique()

    def of(self, rows: pa.Table) -> pa.Array:
        """The verdict on the picture of each row, which has its `variant_id` and `slot`; empty where there is none."""
        return self._of(rows, "verdict")

    def notes_of(self, rows: pa.Table) -> pa.Array:
        """Likewise, what was written beside the verdict."""
        return self._of(rows, "note")

    def _of(self, rows: pa.Table, column: str) -> pa.Array:
        at = pc.index_in(pictures_of(rows), value_set=self._pictures)
        return pc.fill_null(self._said[column].take(at), "").combine_chunks()


def pictures_of(rows: pa.Table) -> pa.Array:
    """Each row's `Picture` as one text."""
    return pc.binary_join_element_wise(rows["variant_id"], rows["slot"], "/").combine_chunks()


def is_rejected(tables: Tables, rows: pa.Table) -> pa.Array:
    """Whether somebody has rejected the picture of each of these rows of `tables/images`. Raises StoreError."""
    return pc.equal(Verdicts(tables).of(rows), Verdict.REJECTED)


def rejections(tables: Tables) -> dict[str, str]:
    """For each SKU of which images were rejected, a hash of which: another one wherever there is something to do.

    Raises StoreError.
    """
    rows = tables.read("reviews", ["sku", "variant_id", "slot"], [("verdict", "==", str(Verdict.REJECTED))])
    of_sku = defaultdict[str, list[Picture]](list)
    for row in rows.to_pylist():
        of_sku[row["sku"]].append((row["variant_id"], row["slot"]))
    return {sku: content_id(sorted(pictures)) for sku, pictures in of_sku.items()}
