"""A reference is read from where it may point to and nowhere else; a bad one costs itself, not its product."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog_schemas.errors import ConfigError
from catalog_schemas.rejection import Reason
from tests.bad_input.night import BAD, Night

MISSING, FORBIDDEN = Reason.REFERENCE_MISSING, Reason.REFERENCE_FORBIDDEN
TOO_LARGE, DOUBLE = Reason.REFERENCE_TOO_LARGE, Reason.REFERENCE_DUPLICATE
Make = Callable[[Path], object]


def nothing(folder: Path) -> None:
    """The reference stands for itself."""


def link(name: str, target: str) -> Make:
    return lambda folder: (folder / name).symlink_to(target)


def latin(folder: Path) -> None:
    """A name as an archive packed on Windows brings it."""
    (folder / "old").mkdir()
    data = (folder / "photos-bad/0.png").read_bytes()
    for name in (b"gr\xfcn.png", b"plain.png"):
        Path(os.fsdecode(os.fsencode(folder) + b"/old/" + name)).write_bytes(data)
    (folder / "green.png").symlink_to(os.fsdecode(b"old/gr\xfcn.png"))


def sparse(folder: Path) -> None:
    """A terabyte that takes no space."""
    (folder / "huge.png").touch()
    os.truncate(folder / "huge.png", 2**40)


REFUSED: dict[str, tuple[str, Make, Reason]] = {
    "a photo that is not there": ("photos-bad/none.jpg", nothing, MISSING),
    "a photo in a folder that is not there": ("none/none.jpg", nothing, MISSING),
    "a photo below a photo": ("photos-bad/0.png/1.png", nothing, MISSING),
    "a name of 5,000 characters": ("x" * 5000, nothing, MISSING),
    "a home folder": ("~/.ssh/id_rsa", nothing, MISSING),
    "a data URL": ("data:image/png;base64,iVBORw0KGgo=", nothing, MISSING),
    "an address that answers 404": ("http://127.0.0.1:9/none.jpg", nothing, FORBIDDEN),
    "an https address": ("https://shop.example/a.jpg", nothing, FORBIDDEN),
    "an address that redirects to the cloud's metadata": ("http://127.0.0.1:9/?to=169.254.169.254", nothing, FORBIDDEN),
    "the cloud's metadata": ("http://169.254.169.254/latest/meta-data/", nothing, FORBIDDEN),
    "an address that names a user": ("https://user:pass@shop.example/a.jpg", nothing, FORBIDDEN),
    "ftp": ("ftp://host/a.jpg", nothing, FORBIDDEN),
    "a system file as URL": ("file:///etc/passwd", nothing, FORBIDDEN),
    "a system file as path": ("/etc/passwd", nothing, FORBIDDEN),
    "the process's environment": ("/proc/self/environ", nothing, FORBIDDEN),
    "a chained protocol": ("simplecache::file:///etc/passwd", nothing, FORBIDDEN),
    "a protocol that reads others": ("reference://x", nothing, FORBIDDEN),
    "a file in an archive": ("zip://a.png::file:///tmp/x.zip", nothing, FORBIDDEN),
    "a path that climbs": ("../..", nothing, FORBIDDEN),
    "a path that climbs out and in": ("photos-bad/../../secret.png", nothing, FORBIDDEN),
    "another bucket": ("s3://other-bucket/a.jpg", nothing, FORBIDDEN),
    "a newline": ("photos-bad/a\n.png", nothing, FORBIDDEN),
    "NUL": ("photos-bad/a.png\0.jpg", nothing, FORBIDDEN),
    "a link out": ("out.png", link("out.png", "../secret.png"), FORBIDDEN),
    "a link to a folder outside": ("out/secret.png", link("out", ".."), FORBIDDEN),
    "a link to an endless device": ("zero.png", link("zero.png", "/dev/zero"), FORBIDDEN),
    "a link to itself": ("loop.png", link("loop.png", "loop.png"), MISSING),
    "a link to nothing": ("nothing.png", link("nothing.png", "none.png"), MISSING),
    "a link to a name that is no UTF-8": ("green.png", latin, FORBIDDEN),
    "a pipe": ("pipe.png", lambda folder: os.mkfifo(folder / "pipe.png"), MISSING),
    "a photo of a terabyte": ("huge.png", sparse, TOO_LARGE),
    "the same photo twice": ("./photos-bad/../photos-bad/0.png", nothing, DOUBLE),
    "the same bytes under another name": (
        "copy.png",
        lambda folder: (folder / "copy.png").write_bytes((folder / "photos-bad/0.png").read_bytes()),
        DOUBLE,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_reference_has_its_reason_and_costs_its_product_only_where_that_has_no_other(
    night: Night, unharmed, name: str
) -> None:
    reference, make, reason = REFUSED[name]
    (night.folder.parent / "secret.png").write_bytes(b"secret")
    night.add(references=["photos-bad/0.png", reference, "photos-bad/1.png"])
    night.add("alone", references=[reference])
    make(night.folder)
    judged = night.judge()
    assert judged.verdicts(BAD) == [("plan", reason)]
    assert len(judged.details(BAD)) < 6000
    assert len(judged.fate(BAD).photos) == len(judged.fate(BAD).prepared) == 2
    if reason != DOUBLE:
        assert judged.verdicts("alone") == [("plan", reason), ("plan", Reason.SKU_NO_USABLE_REFERENCES)]
        assert judged.plan.quarantined == ("alone",)
    unharmed(judged)


def deep(folder: Path) -> None:
    """Folders that lead back to where they began."""
    (folder / "loop").mkdir()
    (folder / "loop/loop").symlink_to("../loop")
    (folder / "loop/0.png").write_bytes((folder / "photos-bad/0.png").read_bytes())


FOLDERS: dict[str, tuple[str, Make, int, list[Reason]]] = {
    "without a photo": ("none", lambda folder: (folder / "none").mkdir(), 0, [Reason.ROW_NO_REFERENCES]),
    "with other files": (
        "notes",
        lambda folder: ((folder / "notes").mkdir(), (folder / "notes/readme.txt").write_text("x")),
        0,
        [Reason.ROW_NO_REFERENCES],
    ),
    "with a phone's photos": (
        "phone",
        lambda folder: ((folder / "phone").mkdir(), (folder / "phone/IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")),
        1,
        [Reason.REFERENCE_UNREADABLE],
    ),
    "with a name that is no UTF-8": ("old", latin, 1, [MISSING]),
    "that holds itself": ("loop", deep, 1, []),
    "that is the catalog's own": (".", nothing, 0, [Reason.ROW_NO_REFERENCES]),
    "outside": ("..", nothing, 0, [FORBIDDEN, Reason.SKU_NO_USABLE_REFERENCES]),
    "linked from outside": ("out", link("out", "/etc"), 0, [FORBIDDEN, Reason.SKU_NO_USABLE_REFERENCES]),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_listed_once_and_not_searched(night: Night, unharmed, name: str) -> None:
    reference, make, photos, reasons = FOLDERS[name]
    night.add(references=[reference])
    make(night.folder)
    judged = night.judge()
    assert [reason for _, reason in judged.verdicts(BAD)] == reasons
    job = judged.job(BAD)
    assert len(job.photos if job else ()) == photos
    unharmed(judged)


def test_what_a_prefix_admits_must_still_be_a_file(night: Night, unharmed) -> None:
    night.catalog = {"reference_prefixes": ["/dev"]}
    night.add(references=["/dev/zero", "/dev/stdin", "photos-bad/0.png"])
    judged = night.judge()
    assert judged.verdicts(BAD) in ([("plan", MISSING)] * 2, [("plan", MISSING), ("plan", FORBIDDEN)])
    assert judged.job(BAD)


@pytest.mark.parametrize(
    "prefix", ["ftp://shop.example/photos/", "https://", "https://user:pass@shop.example/", "s3://", "a::file:///"]
)
def test_a_prefix_that_is_no_place_is_an_error_of_the_configuration(night: Night, prefix: str) -> None:
    night.catalog = {"reference_prefixes": [prefix]}
    with pytest.raises(ConfigError, match="reference_prefixes"):
        night.judge()


def test_only_as_many_photos_are_used_as_the_configuration_says(night: Night, unharmed) -> None:
    night.catalog = {"references_maximum": 2}
    night.add(references=["photos-bad/0.png", "/etc/passwd", "photos-bad/1.png", "photos-bad/2.png"])
    judged = night.judge()
    assert judged.verdicts(BAD) == [("plan", FORBIDDEN)]
    assert len(judged.fate(BAD).photos) == 1
