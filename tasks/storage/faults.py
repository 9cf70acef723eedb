"""What went wrong with a store, in packshot's own words: the one place that translates other people's exceptions.

A message is one line: the URI, what came, what to do. It is built from error codes, never from a server's or a
driver's text, and the translated exception carries no cause, so that no secret travels with either.
"""

import errno
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from catalog_schemas.errors import (
    PackshotError,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreNotFound,
    StoreUnreachable,
)

Result = TypeVar("Result")
Waits = Callable[[StoreUnreachable, float], bool]

PAUSES = (0.2, 0.8, 2.0)  # seconds before the second, third and fourth attempt
_BUGS = (AssertionError, AttributeError, NameError, TypeError, MemoryError)

_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile or role",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or an account that the machine has",
    "abfs": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_CREDENTIALS["az"] = _CREDENTIALS["abfs"]
_EXTRAS = {"s3": "s3", "gs": "gcs", "abfs": "azure", "az": "azure"}
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
_REGION = "the bucket lies in another region: set AWS_REGION to its own"
_EXPIRED = "renew the credentials in the environment, then run again: what was finished is kept"
_ADVICE = {  # where a look at the credentials' rights would help nobody
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "ExpiredToken": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "301": _REGION,  # HEAD is answered without a code
    "400": "renew the credentials if they have expired, or set AWS_REGION to the bucket's own region",
    "RequestTimeTooSkewed": "set this machine's clock, which differs from the store's",
}
_DENIED = {
    *("AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidAccessKeyId", "NotSignedUp"),
    *("SignatureDoesNotMatch", *_ADVICE),
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"),
    *("ProfileNotFound", "DefaultCredentialsError", "RefreshError", "ClientAuthenticationError", "PermissionError"),
}
_FULL = {"QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull", "EntityTooLarge"}
_UNREACHABLE = {
    *("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "TooManyRequests"),
    *("ConditionalRequestConflict", "OperationAborted"),  # two conditional writes met: the same call may succeed now
    *("ConnectionError", "TimeoutError", "gaierror", "HTTPClientError", "ClientConnectionError", "ClientPayloadError"),
    *("IncompleteReadError", "IncompleteRead", "ResponseParserError", "ServiceRequestError", "ServiceResponseError"),
    *("TransportError", "ServerBusy"),
}
_ERRNO_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ERRNO_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ERRNO_UNREACHABLE = {
    *(errno.EIO, errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT),
    *(errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN),
}
# The Delta writer's errors are texts. What follows is the part of them that tells one cause from another.
_TEXTS = (
    (re.compile(r"NoSuchBucket|ContainerNotFound"), "NoSuchBucket"),
    *((re.compile(code), code) for code in _ADVICE if not code.isdigit()),
    (re.compile("redirect without LOCATION"), "PermanentRedirect"),
    (re.compile(r"os error (28|122|27)\b|No space left"), "QuotaExceeded"),
    (re.compile(r"os error (1|13|30)\b|\b40[13] |AccessDenied|InvalidAccessKeyId|Signature|redential"), "AccessDenied"),
    (
        re.compile(r"\b(429|5\d\d) |timed? ?out|onnect|error sending request|reset|dns error|os error 5\b"),
        "RequestTimeout",
    ),
)


_waits: ContextVar[Waits | None] = ContextVar("waits", default=None)


class ObjectMissing(StoreError):
    """No object has this key."""


@contextmanager
def patient(waits: Waits) -> Iterator[None]:
    """Inside, who would give up for want of an answer asks `waits` first, with the fault and the seconds since the
    first attempt: it waits and returns True for another one, or returns False."""
    token = _waits.set(waits)
    try:
        yield
    finally:
        _waits.reset(token)


def attempt(call: Callable[[], Result], uri: str, pauses: tuple[float, ...] = PAUSES) -> Result:
    """Calls, and calls again after each pause while the store is unreachable, and then while `patient` says so.

    Without pauses there is one attempt. Raises StoreError; packshot's own errors and programming errors pass through.
    """
    began, left = time.monotonic(), iter(pauses)
    while True:
        try:
            return call()
        except (PackshotError, *_BUGS):
            raise
        except Exception as error:
            fault = translate(error, uri)
        if not pauses or not isinstance(fault, StoreUnreachable):
            raise fault from None
        if pause := next(left, 0.0):
            time.sleep(pause * random.uniform(0.5, 1.5))
        elif not (waits := _waits.get()) or not waits(fault, time.monotonic() - began):
            raise fault from None


def translate(error: BaseException, uri: str) -> StoreError:
    """The StoreError that says what `error`, raised while working on `uri`, means to a user."""
    if isinstance(error, ImportError):
        extra = _EXTRAS.get(uri.partition("://")[0], "s3")
        return StoreError(f"{uri}: its driver is not installed; pip install 'packshot[{extra}]'")
    words = set(_words(error))
    number = error.errno if isinstance(error, OSError) else None
    shown = _shown(error)
    if words & _NO_BUCKET:
        return StoreNotFound(f"{uri}: no such bucket or container ({shown}); check its name, or create it")
    if words & _DENIED or (number in _ERRNO_DENIED and not has_reply(error)):
        why = next((code for code in _ADVICE if code in words), "")
        advice = _ADVICE.get(why) or f"check {_rights(uri)}"
        return StoreDenied(f"{uri}: access denied ({why or shown}); {advice}")
    if words & _FULL or (number in _ERRNO_FULL and not has_reply(error)):
        return StoreFull(f"{uri}: no space is left for it ({shown}); free some or raise the quota, then run again")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ObjectMissing(
            f"{uri}: expected an object, found none; check the name, or let `packshot verify --repair` look"
        )
    if words & _UNREACHABLE or (number in _ERRNO_UNREACHABLE and not has_reply(error)):
        return StoreUnreachable(
            f"{uri}: no usable answer ({shown}); check the endpoint and the network, then run again"
        )
    return StoreError(f"{uri}: the store failed in an unknown way ({shown}); see its own log")


def code_of(error: BaseException) -> str:
    """The server's error code ("PreconditionFailed", "404"), or "" where no server answered."""
    if given := next((str(reply.get("Error", {}).get("Code", "")) for reply in _replies(error)), ""):
        return given
    named: object = next((code for link in _chain(error) if (code := getattr(link, "error_code", None))), "")
    return str(getattr(named, "value", named))  # Azure's client gives an enumeration's member


def has_reply(error: BaseException) -> bool:
    """Whether a server answered: its code then counts, and not the errno that a driver made of it."""
    return any(True for _ in _replies(error)) or bool(code_of(error))


def _replies(error: BaseException) -> Iterator[dict]:
    for link in _chain(error):
        reply = getattr(link, "response", None)
        if isinstance(reply, dict):
            yield reply


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _words(error: BaseException) -> Iterator[str]:
    """Every name under which the cause may be known: classes, server codes, HTTP statuses by their meaning."""
    for link in _chain(error):
        yield from (kind.__name__ for kind in type(link).__mro__)
        yield from _meaning(_status(link))
    for reply in _replies(error):
        yield str(reply.get("Error", {}).get("Code", ""))
        yield from _meaning(reply.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    yield code_of(error)
    if _is_text(error):
        text = str(error)
        yield from (word for pattern, word in _TEXTS if pattern.search(text))


def _is_text(error: BaseException) -> bool:
    """Whether only its text tells what an error means. Other errors' texts hold names, which may look like a cause."""
    if type(error) is OSError:
        return error.errno is None and not has_reply(error)
    return type(error).__module__.startswith(("deltalake", "_internal")) or type(error) is Exception


def _status(error: BaseException) -> int:
    """The HTTP status that an error carries; 0 for none."""
    named = (getattr(error, name, None) for name in ("status", "status_code", "code"))
    return next((status for status in named if isinstance(status, int)), 0)


def _meaning(status: int) -> Iterator[str]:
    if status in (401, 403):
        yield "AccessDenied"
    elif status == 507:
        yield "QuotaExceeded"
    elif status == 429 or status >= 500:
        yield "ServiceUnavailable"


def _shown(error: BaseException) -> str:
    """A short name of the cause that cannot hold a secret."""
    if code := code_of(error):
        return re.sub(r"[^A-Za-z0-9]", "", code)[:64]
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    if status := next(filter(None, map(_status, _chain(error))), 0):
        return f"HTTP {status}"
    return type(error).__name__


def _rights(uri: str) -> str:
    scheme = uri.partition("://")[0]
    if scheme in _CREDENTIALS:
        return f"the credentials in the environment ({_CREDENTIALS[scheme]}) and their rights"
    return "who owns it and its permissions"
