"""The command that makes a catalog from a shop's own file, and what it tells of it."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flows.commands.arguments import Add
from tasks.importers import EXAMPLES, kinds

if TYPE_CHECKING:
    from tasks.import_catalog import Imported


def add_import_command(add: Add) -> None:
    """Adds it to the command line."""
    parser = add("import", _import, "make a Parquet catalog from a file of another kind")
    parser.add_argument("kind", choices=kinds(), help="what the file is")
    parser.add_argument("file", metavar="FILE", help="the file to read")
    parser.add_argument("--out", required=True, help="the Parquet file to write")
    parser.add_argument("--nouns", default="", metavar="YAML", help="class nouns of your own, over the shipped ones")
    parser.add_argument(
        "--encoding",
        default="",
        metavar="NAME",
        help="of a text file not in UTF-8: cp1252 is Excel's in western Europe",
    )


def _import(parsed: argparse.Namespace) -> dict[str, Any]:
    from tasks.import_catalog import import_catalog

    return import_summary(
        import_catalog(parsed.kind, parsed.file, parsed.out, parsed.nouns, parsed.encoding), parsed.out
    )


def import_summary(done: "Imported", out: str) -> dict[str, Any]:
    """What was written, and all that a person should look at before a run."""
    lines = [f"{done.products:,} products written to {out}"]
    if done.left_out > done.products:
        lines.append(f"MORE ROWS WERE LEFT OUT, {done.left_out:,}, than products found: see below why before a run")
    lines += [*_noun_lines(done), *done.remarks]
    refused = sum(done.refused.values())
    if refused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in done.refused.items())
        lines.append(f"{refused:,} of them a run will set aside: {reasons}")
    if done.left_out:
        lines.append(f"{done.left_out:,} rows could not be read, and were left out")
    lines += [f"  {example}" for example in done.examples]
    return {
        "text": "\n".join(map(_printable, lines)),
        "out": out,
        "products": done.products,
        "left_out": done.left_out,
        "refused": done.refused,
        "examples": list(done.examples),
        "class_nouns": {
            "mapped": done.nouns.mapped,
            "inferred": [
                {"category": category, "noun": noun, "products": count}
                for (category, noun), count in done.nouns.inferred.most_common()
            ],
            "unknown": [
                {"category": category, "products": count, "first": done.nouns.first[category]}
                for category, count in done.nouns.unknown.most_common()
            ],
        },
        "remarks": list(done.remarks),
    }


def _noun_lines(done: "Imported") -> Iterator[str]:
    nouns = done.nouns
    inferred, unknown = nouns.inferred.total(), nouns.unknown.total()
    if nouns.mapped + inferred + unknown == 0:
        return
    yield (
        f"class nouns: {nouns.mapped:,} by the mapping, {inferred:,} from the category's own words, {unknown:,} unknown"
    )
    for (category, noun), count in nouns.inferred.most_common(EXAMPLES):
        yield f"  {category!r} was read as {noun!r}: {count:,}"
    for category, count in nouns.unknown.most_common(EXAMPLES):
        said = repr(category) if category else "no category"
        yield f"  no class noun for {said}: {count:,} (first: {nouns.first[category]}); name it in a file for --nouns"


def _printable(line: str) -> str:
    """Without the control and direction characters with which a shop's text could redraw a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)
