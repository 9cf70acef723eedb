"""Galleries in the browser: what `packshot serve` adds to Prefect's server, beside its UI and with its password, and
`packshot browse` shows alone.

Pages and pictures come from the store, wherever that is. The front page is made of the store's tables when it is asked
for. A page may send what was said of its images to Prefect's API.
"""

import asyncio
import os
import threading
from contextlib import suppress
from functools import cached_property
from http import HTTPStatus
from urllib.parse import parse_qsl

from cachetools import LRUCache, cached
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from catalog_schemas.errors import StoreError
from flows.servers.asgi import App, Message, Receive, Send
from flows.servers.doors import is_let_in
from tasks.imaging.thumbnail import small_file
from tasks.reporting.gallery import policy
from tasks.reporting.served import GALLERY, SMALL, is_shown
from tasks.reporting.shop import Query, Shop
from tasks.storage.objects import ObjectMissing, ObjectStore

API = "api/"  # below GALLERY: Prefect's, since a browser sends the gallery's password to paths below it alone
TYPES = {
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "webp": "image/webp",
    "jpg": "image/jpeg",
    "png": "image/png",
}
REMEMBERED = 1 << 26  # bytes of small pictures
FOR_EVER = "private, max-age=31536000, immutable"  # a key of an image says what its bytes are


class Galleries:
    """Middleware (ASGI 3.0): answers below `GALLERY` from the store at `url`, and leaves the rest to `app`.

    `password` is Prefect's "name:password", or empty where everyone who reaches the server may see all. Pages get the
    policy of packshot's own galleries, of this version and earlier ones (Content Security Policy Level 3): whoever can
    write to the store cannot make a page there run a script of theirs.
    """

    def __init__(self, app: App, url: str, password: str = "") -> None:
        self.app, self.url, self.password = app, url, password
        self.shrinking = threading.Semaphore(max(1, (os.cpu_count() or 1) // 2))  # the rest is for Prefect and runs
        self.small = cached(LRUCache[str, bytes](REMEMBERED, len), lock=threading.Lock())(self._shrunk)

    @cached_property
    def store(self) -> ObjectStore:
        """Opened by the first who asks."""
        return ObjectStore(self.url)

    @cached_property
    def shop(self) -> Shop:
        """The front page, and what it remembers."""
        return Shop(self.store)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one connection."""
        if scope["type"] == "http" and f"{scope['path']}/" == GALLERY:
            await RedirectResponse(GALLERY)(scope, receive, send)
            return
        if scope["type"] != "http" or not scope["path"].startswith(GALLERY):
            await self.app(scope, receive, send)
            return
        key = scope["path"].removeprefix(GALLERY)
        if key.startswith(API):
            await self.app({**scope, "path": f"/{key}", "raw_path": f"/{key}".encode()}, receive, send)
            return
        await (await self._answer(scope, key))(scope, receive, send)

    async def _answer(self, scope: Message, key: str) -> Response:
        if not is_let_in(dict(scope["headers"]).get(b"authorization", b""), self.password):
            asked = {"WWW-Authenticate": 'Basic realm="packshot", charset="UTF-8"'}
            return PlainTextResponse("name and password, please", HTTPStatus.UNAUTHORIZED, asked)
        if scope["method"] not in ("GET", "HEAD") or (key and not is_shown(key)):
            return PlainTextResponse("no gallery or image is here", HTTPStatus.NOT_FOUND)
        try:
            data, kind = await asyncio.to_thread(self._read, key, scope["query_string"].decode("latin-1"))
        except ObjectMissing:
            return PlainTextResponse("it is not in the store any more", HTTPStatus.NOT_FOUND)
        except StoreError as error:
            return PlainTextResponse(str(error), HTTPStatus.BAD_GATEWAY)
        headers = {
            "Cache-Control": FOR_EVER if key.startswith("images/") else "no-cache",
            "Content-Security-Policy": policy(),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        return Response(data, headers=headers, media_type=TYPES[kind])

    def _read(self, key: str, query: str) -> tuple[bytes, str]:
        """The object, the small picture of one, or for an empty key the front page; and of which type it is."""
        if not key:
            return self.shop.page(Query.of(dict(parse_qsl(query)))).encode(), "html"
        if query == SMALL and key.startswith("images/"):
            with suppress(OSError, ValueError, SyntaxError):  # a damaged one is shown as it is
                return self.small(key), "webp"
        return self.store.read(key), key.rpartition(".")[2]

    def _shrunk(self, key: str) -> bytes:
        data = self.store.read(key)
        with self.shrinking:
            return small_file(data)
