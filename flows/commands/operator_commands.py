"""The commands of whoever looks after a store: gallery, review, verify, gc, rollback, export."""

import argparse
import unicodedata
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from catalog_schemas.errors import ConfigError
from flows.commands.arguments import Add, count
from flows.commands.existing_store import existing_store
from tasks.storage.objects import ObjectStore

VERSIONS_SHOWN = 20  # of a rollback, the last ones


def add_operator_commands(add: Add) -> None:
    """Adds them to the command line."""
    gallery = add("gallery", _gallery, "write a page of live images, to look at, approve and reject")
    gallery.add_argument("--sku", nargs="+", action="extend", default=[], help="only these products", metavar="SKU")
    gallery.add_argument("--category", default="", help="only products whose category contains this text")
    gallery.add_argument("--channel", default="", help="only the images of one channel")
    said = gallery.add_mutually_exclusive_group()
    for name, what in (
        ("unreviewed", "nobody has approved or rejected"),
        ("approved", "somebody has approved"),
        ("rejected", "somebody has rejected, live or not, and why"),
    ):
        text = f"only the images that {what}"
        said.add_argument(f"--{name}", dest="verdict", action="store_const", const=name, default="", help=text)
    what = "products that one page holds; it says how many are left out (default: 200)"
    gallery.add_argument("--limit", type=count, metavar="N", default=200, help=what)
    gallery.add_argument(
        "--out", metavar="FILE", help="a file of this machine (default: gallery/index.html in the store)"
    )
    gallery.add_argument("--base-url", default="", help="for --out and a bucket: the URL that the store is reached by")
    review = add("review", _review, "say which images are good and which are to go: these are not made again")
    for verdict in ("reject", "approve"):
        what = "images, as the gallery copies them: images/MUG-1/web/….webp, or a link that ends so"
        review.add_argument(f"--{verdict}", nargs="+", default=[], metavar="IMAGE", help=what)
    review.add_argument("--note", default="", help="why, for the table of reviews")
    verify = add("verify", _verify, "prove that every live row has its bytes, and list orphans")
    verify.add_argument(
        "--repair", action="store_true", help="retire what is damaged, so that the next run makes it again"
    )
    gc = add("gc", _gc, "delete what no live row and no running run refers to, after a grace period")
    gc.add_argument("--grace", default="7d", help="such as 7d, 12h or 30m; longer than the longest run")
    gc.add_argument("--dry-run", action="store_true", help="only list what would be deleted")
    rollback = add("rollback", _rollback, "make an earlier version of the published images current again")
    rollback.add_argument(
        "version", type=int, nargs="?", help="a version of tables/images; without it, they are listed"
    )
    export = add("export", _export, "write the live images as a plain tree of files, or as a feed")
    export.add_argument("kind", choices=["tree", "shopify", "google"], help="what to write")
    export.add_argument("--out", required=True, help="the folder, or the feed's file")
    export.add_argument("--approved", action="store_true", help="only the images that somebody has approved")
    export.add_argument("--channel", default="", help="only the images of one channel")
    export.add_argument("--base-url", default="", help="for feeds: the URL that the store is reached by")
    for parser in (gallery, review, verify, gc, rollback, export):
        parser.add_argument("--store", required=True, help="folder or URL of the store")


def _gallery(parsed: argparse.Namespace) -> dict[str, Any]:
    from tasks.reporting.live import Asked, write_gallery

    skus = tuple(unicodedata.normalize("NFC", sku) for sku in parsed.sku)  # as catalogs have them
    asked = Asked(skus, parsed.category, "", parsed.channel, parsed.verdict)
    out = Path(parsed.out) if parsed.out else None
    made = write_gallery(existing_store(parsed.store), asked, parsed.limit, out, parsed.base_url)
    return {"text": f"{made.scope}\nGallery: {made.gallery}", **vars(made)}


def _review(parsed: argparse.Namespace) -> dict[str, Any]:
    from catalog_schemas.review import Verdict
    from tasks.review_images import review_images
    from tasks.runtime.context import new_run_id

    now = datetime.now(UTC)
    named = {Verdict.REJECTED: "\n".join(parsed.reject), Verdict.APPROVED: "\n".join(parsed.approve)}
    done = review_images(existing_store(parsed.store), named, parsed.note, f"review-{new_run_id(now)}", now)
    return {"text": str(done), **vars(done)}


def _verify(parsed: argparse.Namespace) -> dict[str, Any]:
    from tasks.runtime.context import new_run_id
    from tasks.runtime.progress import Progress
    from tasks.upkeep.repair import repair
    from tasks.upkeep.verify import verify

    store, now = existing_store(parsed.store), datetime.now(UTC)
    with Progress("verifying") as progress:
        found = verify(store, progress.update)
    lines = [f"{found.checked} live rows checked, {len(found.faults)} faults, {len(found.orphans)} orphans"]
    lines += [f"  {one.key}: expected {one.expected[:12]}, came {one.came[:12]}" for one in found.faults[:20]]
    lines += [f"  orphan: {key}" for key in found.orphans[:20]]
    answer = {"checked": found.checked, "faults": [vars(one) for one in found.faults], "orphans": list(found.orphans)}
    if parsed.repair and found.faults:
        done = repair(store, found.faults, f"repair-{new_run_id(now)}", now)
        lines.append(f"{done.images} images and {done.adapters} adapters retired; the next runs make them again")
        return answer | {"text": "\n".join(lines), "repaired": vars(done)}
    if found.faults:
        lines.append("give --repair, and the next runs make them again")
    return answer | {"text": "\n".join(lines), "exit_code": 4 if found.faults else 0}


def _gc(parsed: argparse.Namespace) -> dict[str, Any]:
    from tasks.upkeep.collect_garbage import collect_garbage, time_of

    grace, store = _duration(parsed.grace), existing_store(parsed.store)
    found = collect_garbage(store, grace, time_of(store), parsed.dry_run)
    verb = "would be deleted" if parsed.dry_run else "deleted"
    text = f"{len(found.keys)} objects, {found.bytes:,} bytes {verb}"
    return {"text": text, "keys": list(found.keys), "bytes": found.bytes, "deleted": not parsed.dry_run}


def _rollback(parsed: argparse.Namespace) -> dict[str, Any]:
    from tasks.runtime.context import new_run_id
    from tasks.upkeep.roll_back import roll_back

    store = existing_store(parsed.store)
    if parsed.version is None:
        return _versions(store)
    now = datetime.now(UTC)
    done = roll_back(store, parsed.version, f"rollback-{new_run_id(now)}", now)
    text = f"version {parsed.version} is current again: {done.revived} images came back, {done.retired} were retired"
    return {"text": text, "revived": done.revived, "retired": done.retired}


def _versions(store: ObjectStore) -> dict[str, Any]:
    from tasks.upkeep.roll_back import versions

    found = list(islice(versions(store), VERSIONS_SHOWN))
    lines = ["version  since             live images  made by"]
    lines += [f"{one.version:7}  {one.at:%Y-%m-%d %H:%M}  {one.images:11,}  {one.run_id}" for one in found]
    lines += ["Times are UTC. Give a version, and its images are live again"]
    if not found:
        lines = [f"{store.url} has no version with live images"]
    listed = [vars(one) | {"at": one.at.isoformat()} for one in found]
    return {"text": "\n".join(lines), "versions": listed}


def _export(parsed: argparse.Namespace) -> dict[str, Any]:
    from tasks.export import export

    done = export(
        existing_store(parsed.store), parsed.kind, Path(parsed.out), parsed.channel, parsed.base_url, parsed.approved
    )
    return {"text": f"{done} to {parsed.out}", "images": done.images, "deleted": done.deleted, "out": parsed.out}


def _duration(text: str) -> timedelta:
    units = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
    if text[:-1].isdecimal() and len(text) < 12 and text[-1:] in units:
        grace = timedelta(**{units[text[-1]]: int(text[:-1])})
        if grace < timedelta(days=36_500):  # a century: so long ago there must be a date
            return grace
    raise ConfigError(f"--grace is {text!r}; expected a number and d, h, m or s, such as 7d; at most a century")
