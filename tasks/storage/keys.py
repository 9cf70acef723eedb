"""Names in a store: what a key may be, and how any text becomes a part of one."""

import re
from urllib.parse import unquote

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.identity import content_id

TEMPORARY = ".tmp-"  # what is being written; never a key, never listed
NAME_LENGTH = 255  # bytes of a name in any file system

_PART = re.compile(r"[A-Za-z0-9._%=+@~-]+")
_UNSAFE = re.compile(rb"[^A-Za-z0-9._-]")


def check_key(key: str) -> str:
    """The key, if it is one: parts of [A-Za-z0-9._%=+@~-] joined by "/". Anything else is a bug of ours.

    The parts "." and ".." and temporary names are no parts. Drivers cut keys at "?" and "#", expand "*" and "[", and
    leave ".." as it is: an allow-list settles all of that.
    """
    if not is_key(key):
        raise AssertionError(f"{key!r}: not a store key; expected parts of [A-Za-z0-9._%=+@~-] joined by '/'")
    return key


def is_key(text: str) -> bool:
    """Whether a text may be a key."""
    return all(
        _PART.fullmatch(one) and one not in (".", "..") and not one.startswith(TEMPORARY) for one in text.split("/")
    )


def is_unfinished(name: str) -> bool:
    """Whether a file's name says that it is being written: by us, or by the Delta writer ("…json#1")."""
    return name.startswith(TEMPORARY) or "#" in name


def safe_name(text: str) -> str:
    """One part of a key that stands for `text`: [A-Za-z0-9._-] as they are, each other byte of UTF-8 as %XX.

    Different texts get different names, and `text_of` gives the text back. A leading dot is encoded too, so that a name
    is never ".", ".." or hidden; the empty text becomes "%", which no other text does.
    """
    encoded = _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], text.encode("utf-8", "surrogatepass")).decode()
    return "%2E" + encoded[1:] if encoded.startswith(".") else encoded or "%"


def text_of(name: str) -> str:
    """The text that `safe_name` made this name of."""
    return "" if name == "%" else unquote(name, errors="surrogatepass")


def adapter_folder(spec: AdapterSpec) -> str:
    """Where an adapter's objects lie in the store; a class noun that makes too long a name is cut."""
    return f"adapters/{safe_name(spec.sku or f'class {spec.class_noun}')[:NAME_LENGTH]}/{spec.id[:16]}"


def adapter_key(spec: AdapterSpec) -> str:
    """The store key of an adapter's LoRA file."""
    return f"{adapter_folder(spec)}/adapter.safetensors"


def snapshot_key(adapters: list[str]) -> str:
    """The store key of what a killed training of the adapters with these ids goes on from."""
    return f"cache/snapshots/{content_id(adapters)}.safetensors"
