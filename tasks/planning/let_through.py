"""Photos that a run refused for their size, under narrower bounds than today's, or for a format that is read by now.

An adapter is named by the photos as listed, before anyone has opened one, but learned from those that can be used. So a
photo that is let through now counts as another one: what was made without it is made again, and nothing else. The
refusal no longer holds.
"""

import json
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from functools import partial
from typing import Any

from catalog_schemas.identity import content_id
from catalog_schemas.reference import Photo
from catalog_schemas.rejection import Reason
from tasks.imaging.formats import is_read_by_now
from tasks.planning.photos import Listed
from tasks.runtime.context import RunContext, config_key
from tasks.runtime.threads import each
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.storage.tables import Tables

_SIZES = [str(reason) for reason in (Reason.REFERENCE_TOO_SMALL, Reason.REFERENCE_TOO_LARGE)]
_FORMATS = [str(reason) for reason in (Reason.REFERENCE_UNREADABLE, Reason.MASK_UNREADABLE)]
Bounds = tuple[int, int]  # the fewest pixels of the shorter side, and the most of all


def let_through(context: RunContext, listed: Sequence[Listed], now_read: Set[tuple[str, str]]) -> list[Listed]:
    """The products, with another id for each photo that is let through by now; `now_read` is what `read_by_now` says.

    Raises StoreError.
    """
    mine = [("sku", "in", [one.product.sku for one in listed]), ("reason", "in", _SIZES)]
    rows = Tables(context.open()).read("rejections", ["sku", "subject", "run_id"], mine).to_pylist() if listed else []
    narrower = _narrower(context, (row["run_id"] for row in rows))
    before = {(row["sku"], row["subject"]): narrower.get(row["run_id"]) for row in rows}

    def renamed(sku: str, photo: Photo) -> Photo:
        if (sku, photo.uri) in now_read:
            photo = replace(photo, id=content_id([photo.id, "read by now"]))
        then = before.get((sku, photo.uri))
        return replace(photo, id=content_id([photo.id, then])) if then else photo

    return [replace(one, photos=[renamed(one.product.sku, photo) for photo in one.photos]) for one in listed]


def read_by_now(tables: Tables) -> frozenset[tuple[str, str]]:
    """The SKUs and URIs of photos that a run refused for their format or their mask's, which is read by now."""
    rows = tables.read("rejections", ["sku", "subject", "detail"], [("reason", "in", _FORMATS)]).to_pylist()
    return frozenset((row["sku"], row["subject"]) for row in rows if is_read_by_now(row["detail"]))


def still_refused(context: RunContext, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `rejections` less those of photos that are let through by now. Raises StoreError."""

    def is_sized(row: dict[str, Any]) -> bool:
        return row["reason"] in _SIZES and row["stage"] == "prepare_references"

    narrower = _narrower(context, (row["run_id"] for row in rows if is_sized(row)))
    held = [row for row in rows if not (is_sized(row) and row["run_id"] in narrower)]
    return [row for row in held if not is_read_by_now(row["detail"])]


def _narrower(context: RunContext, runs: Iterable[str]) -> dict[str, Bounds]:
    """The bounds of those of these runs that let fewer photos through than this one."""
    names, now = sorted(set(runs)), context.config.catalog
    told = zip(names, each(partial(_bounds, context.open()), names), strict=True)
    return {
        run: then
        for run, then in told
        if then and (now.reference_side_minimum < then[0] or now.reference_pixels_maximum > then[1])
    }


def _bounds(store: ObjectStore, run_id: str) -> Bounds | None:
    """The bounds that a run was given; None where its configuration is not kept."""
    try:
        catalog = json.loads(store.read(config_key(run_id)))["catalog"]
    except ObjectMissing:
        return None
    return catalog["reference_side_minimum"], catalog["reference_pixels_maximum"]
