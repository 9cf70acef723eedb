"""Takes people's word on published images: what is rejected goes at once, and is not made again."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import unquote

import pyarrow as pa

from catalog_schemas.errors import ConfigError
from catalog_schemas.review import Review, Verdict
from tasks.publishing.publication import complete_publications, list_again
from tasks.publishing.reviews import reviewed
from tasks.runtime.running import UNTOLD, at_work
from tasks.storage.keys import safe_name, text_of
from tasks.storage.objects import ObjectStore
from tasks.storage.table_rows import rows_of, with_retired_at
from tasks.storage.tables import Tables

_SKU = r"[^/\\\s,;\"']"
_NAME = re.compile(  # from where a SKU begins alone, or a long text without one takes hours
    rf"(?<!{_SKU})({_SKU}+)" r"[/\\]+([\w-]+)[/\\]+([\w.-]+-[0-9a-f]{12}\.[a-z]{3,4})(?![\w.])"
)
_FILE = re.compile(r"\.(?:webp|jpe?g|png)\b", re.IGNORECASE)
_NAMES_SHOWN = 10
_CHANGED = ("image_id", "verdict", "note", "run_id", "created_at")


@dataclass(frozen=True)
class Reviewed:
    """What was said: how many images were rejected and approved. What came of it: how many were taken down, and how
    many came back, rejected before and approved now."""

    rejected: int
    approved: int
    retired: int = 0
    revived: int = 0

    def __str__(self) -> str:
        said = f"{self.rejected} rejected, {self.approved} approved: {self.retired} taken down"
        return f"{said}, {self.revived} brought back" if self.revived else said


def review_images(store: ObjectStore, named: Mapping[Verdict, str], note: str, run_id: str, now: datetime) -> Reviewed:
    """Writes the verdicts to `tables/reviews`, and takes rejected images down.

    `named` holds texts in which images are named, as the gallery copies them: each ends in the SKU, the channel and the
    file's name, images/MUG-1/web/….webp, whatever comes before. The next night makes a rejected image that the catalog
    asks for with another seed, where a seed changes it; one that a person had asked for is made so when it is asked for
    again. An image that was rejected before and is approved now comes back, where its file is still there and nothing
    else stands in its place. What a killed run had begun to publish is published first.

    Raises ConfigError, which lists all names that are no image's, before anything is written; StoreError.
    """
    wanted = {verdict: list(_names(text)) for verdict, text in named.items()}
    if not any(wanted.values()):
        raise ConfigError("no image is named: say which are rejected, or approved, as the gallery copies them")
    with at_work(store, run_id, UNTOLD):
        complete_publications(store, now)
        tables = Tables(store)
        reviews = _reviews(tables, wanted, note, run_id, now)
        rejected_before = reviewed(tables, Verdict.REJECTED, [one.sku for one in reviews])
        tables.merge("reviews", rows_of("reviews", reviews), run_id, _CHANGED)
        done = Reviewed(*(sum(one.verdict == verdict for one in reviews) for verdict in ("rejected", "approved")))

        def changed() -> pa.Table:
            nonlocal done
            down, up = _to_change(store, tables, reviews, rejected_before)
            list_again(tables, up["sku"].unique().to_pylist(), run_id)
            done = replace(done, retired=len(down), revived=len(up))
            return pa.concat_tables([with_retired_at(down, now), with_retired_at(up, None)])

        tables.merge("images", changed, run_id, ("retired_at",))
        return done


def _names(text: str) -> Iterator[tuple[str, str, str]]:
    """SKU, channel and file, as they are written, of each image that a text names. Raises ConfigError."""
    for line in filter(None, map(str.strip, re.split(r"[\r\n\t,;]+", text))):
        found = _NAME.findall(line)
        if not found or _FILE.search(_NAME.sub("", line)):
            raise ConfigError(
                f"{line[:200]!r} names no image; expected the like of images/MUG-1/web/….webp, as the gallery copies it"
            )
        yield from found


def _reviews(
    tables: Tables, wanted: Mapping[Verdict, list[tuple[str, str, str]]], note: str, run_id: str, now: datetime
) -> list[Review]:
    """A review for each name. Raises ConfigError where one names nothing, or one thing is both good and bad."""
    # a link encodes the key, which encodes the SKU
    keys = {
        name: [f"images/{safe_name(sku)}/{name[1]}/{name[2]}" for sku in _skus(name[0])]
        for names in wanted.values()
        for name in names
    }
    skus = sorted({text_of(key.split("/")[1]) for those in keys.values() for key in those})
    columns = ["sku", "slot", "variant_id", "image_id", "key"]
    rows = tables.read("images", [*columns, "retired_at"], [("sku", "in", skus)])
    # of pictures with the same bytes, and so one file, that one is meant which is live, or was last: it comes last
    held = {row.pop("key"): row for row in rows.sort_by("retired_at").select(columns).to_pylist()}
    missing = ["/".join(name) for name, those in keys.items() if held.keys().isdisjoint(those)]
    if missing:
        more = f" and {len(missing) - _NAMES_SHOWN} more" if len(missing) > _NAMES_SHOWN else ""
        raise ConfigError(
            f"no such image in {tables.store.url}: {', '.join(missing[:_NAMES_SHOWN])}{more}; nothing was "
            "changed. Copy names from this store's gallery"
        )
    reviews: dict[str, Review] = {}
    for verdict, names in wanted.items():
        for name in names:
            row = next(held[key] for key in keys[name] if key in held)
            one = Review(**row, verdict=verdict, note=note, run_id=run_id, created_at=now)
            if reviews.setdefault(one.id, one).verdict != verdict:
                raise ConfigError(f"{'/'.join(name)} is both to be approved and rejected; nothing was changed")
    return list(reviews.values())


def _skus(name: str) -> set[str]:
    """The SKUs that a part of a key, or of a link, may stand for."""
    skus = set[str]()
    for part in (name, unquote(name)):
        with suppress(UnicodeError):  # no catalog has a SKU that is no UTF-8
            skus.add(text_of(part).encode().decode())
    return skus


def _to_change(
    store: ObjectStore, tables: Tables, reviews: list[Review], rejected_before: set[tuple[str, str]]
) -> tuple[pa.Table, pa.Table]:
    """The live rows of rejected pictures, and the rows of approved ones that come back."""
    verdicts = {(one.variant_id, one.slot): one.verdict for one in reviews}
    rows = tables.read("images", filters=[("sku", "in", sorted({one.sku for one in reviews}))])
    few = rows.select(["variant_id", "slot", "key", "created_at", "retired_at"]).to_pylist()
    taken = {row["slot"] for row in few if row["retired_at"] is None}
    down, up = list[int](), dict[str, int]()
    for at, row in enumerate(few):
        picture = row["variant_id"], row["slot"]
        if row["retired_at"] is None and verdicts.get(picture) == Verdict.REJECTED:
            down.append(at)
        elif verdicts.get(picture) == Verdict.APPROVED and picture in rejected_before and row["slot"] not in taken:
            newer = row["slot"] not in up or row["created_at"] > few[up[row["slot"]]]["created_at"]
            if newer and store.exists(row["key"]):
                up[row["slot"]] = at
    return rows.take(pa.array(down, pa.int64())), rows.take(pa.array(list(up.values()), pa.int64()))
