"""Where a browser finds a store's galleries: on the server of `packshot serve`, which tells runs which store it shows,
or at `packshot browse`, whose address the environment of runs elsewhere may hold.

The paths below `GALLERY` are the store's keys, so that a page finds its pictures there as it does on a disk.
"""

import os
import re
from urllib.parse import quote

from tasks.storage.keys import is_key
from tasks.storage.objects import ObjectStore

GALLERY = "/gallery/"
SMALL = "small"  # the query that asks for a picture's small file
SERVED = "PACKSHOT_SERVED_STORE"  # the environment variable that holds the store's URL
BROWSED = "PACKSHOT_GALLERIES"  # the one that holds the address of a `packshot browse` of the runs' store
_SHOWN = re.compile(
    r"runs/[^/]+/report/(index\.html|reshoot\.csv)"
    r"|gallery/index\.html"
    r"|images/[^/]+/[^/]+/[^/]+\.(webp|jpg|png)"
    r"|cache/references/[^/]+-small\.webp"
    r"|cache/(references|drafts)/[^/]+\.png"
)


def is_shown(key: str) -> bool:
    """Whether browsers are given the object: galleries, images, and the pictures that galleries show; nothing else."""
    return is_key(key) and _SHOWN.fullmatch(key) is not None


def small_at(path: str) -> str:
    """Where the picture at a page's path is asked for as a small one; whoever serves plain files gives the picture."""
    return f"{path}?{SMALL}"


def served_at(store: ObjectStore, key: str) -> str:
    """The path of an object on the server that started this run, or its address elsewhere; empty where none shows this
    store."""
    place = f"{GALLERY}{quote(key)}"
    if os.environ.get(SERVED) == store.url:
        return place
    elsewhere = os.environ.get(BROWSED, "").rstrip("/").removesuffix(GALLERY.rstrip("/"))
    return elsewhere and elsewhere + place
