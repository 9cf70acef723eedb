"""What a reference in a catalog means: the one spelling of a path or URL, and whether it lies below another.

A catalog is other people's input: what is no plain path and no URL of an allowed scheme is refused, whatever it hides.
"""

import os
import posixpath
import re
from collections.abc import Iterable
from urllib.parse import unquote

import httpx

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason
from tasks.storage.clouds import SCHEMES, canonical

WEB_SCHEMES = ("http", "https")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # the last stand for bytes that are no UTF-8


def base_of(base_uri: str) -> str:
    """The folder that a catalog's references are relative to: its own, or the one that is named itself."""
    folder = base_uri
    local = base_uri.removeprefix("file://")
    if not base_uri.endswith("/") and not os.path.isdir(local):  # noqa: PTH112
        folder = posixpath.dirname(base_uri) if "/" in base_uri else "."
    return normal(folder, os.getcwd())  # noqa: PTH109


def normal(reference: str, base: str) -> str:
    """An absolute path with links followed, or scheme://bucket/key without ".."; raises Rejected for other schemes."""
    if _UNFIT.search(reference) or "::" in reference:
        raise forbidden(reference, "holds control characters, bytes that are no UTF-8 or a chained protocol (::)")
    scheme, separator, rest = reference.partition("://")
    if not separator:
        scheme, rest = remote_scheme(base), reference
        if not scheme or rest.startswith("/"):
            return _followed(os.path.join(base, rest))  # noqa: PTH118
        rest = f"{base.partition('://')[2]}/{rest}"
    elif scheme.lower() == "file" and rest.startswith("/"):
        return _followed(rest)
    scheme = scheme.lower()
    if scheme in WEB_SCHEMES:
        return web_url(reference)
    if scheme not in SCHEMES:
        raise forbidden(reference, "has a scheme other than file, s3, gs, az, abfs and https")
    bucket, _, key = rest.partition("/")
    key = posixpath.normpath("/" + key).lstrip("/")
    if not bucket or bucket in (".", "..") or re.search(r"[?#*\[\]]", key):
        raise forbidden(reference, "has no bucket, or one of ?#*[] in its key")
    return f"{canonical(scheme)}://{bucket}/{key}".rstrip("/")


def _followed(path: str) -> str:
    real = os.path.realpath(path)
    if _UNFIT.search(real):
        raise forbidden(
            path, f"leads to {real!r}, which holds control characters or bytes that are no UTF-8; rename it"
        )
    return real


def web_url(reference: str) -> str:
    """The one spelling of a web address: host in lower case and ASCII, path without "..", no fragment.

    Raises Rejected(REFERENCE_FORBIDDEN) for what is no plain http(s) address, such as one that names a user.
    """
    try:
        url = httpx.URL(reference).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise forbidden(reference, "is not a web address that can be read") from None
    if url.scheme not in WEB_SCHEMES or not url.raw_host or not 0 < (url.port or 443) < 65536:
        raise forbidden(reference, "is not a web address of a host")
    if url.userinfo:
        raise forbidden("an address", "names a user or a password; photos are fetched without credentials")
    if "\\" in reference or ".." in unquote(url.path).split("/"):
        raise forbidden(reference, 'holds a backslash or a hidden ".."')
    return str(url)


def is_web(uri: str) -> bool:
    """Whether a URI in normal form, or as a catalog lists it, is a web address."""
    return uri.partition("://")[0].lower() in WEB_SCHEMES


def remote_scheme(uri: str) -> str:
    """The scheme of a remote URI in normal form; empty for a local path."""
    scheme, separator, _ = uri.partition("://")
    return scheme if separator and scheme != "file" else ""


def is_below(url: str, prefixes: Iterable[str]) -> bool:
    """Whether a URI is one of the prefixes or lies below one."""
    return any(url == prefix or url.startswith(prefix.rstrip("/") + "/") for prefix in prefixes)


def forbidden(reference: str, why: str) -> Rejected:
    """The verdict on a reference that may not be followed."""
    return Rejected(Reason.REFERENCE_FORBIDDEN, f"{reference[:200]!r} {why}")
