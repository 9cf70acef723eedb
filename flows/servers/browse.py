"""Galleries of a store in the browser, without Prefect: what `packshot serve` shows, beside a server of one's own.

A page sends what was said of its images as it does to Prefect's API; here it is written to the store at once.
"""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from catalog_schemas.errors import ConfigError, StoreError
from catalog_schemas.review import NOTE_MAXIMUM, Verdict
from flows.commands.existing_store import existing_store
from flows.commands.signals import interruption
from flows.servers.asgi import Message, Receive, Send
from flows.servers.doors import claim_port, for_this_machine, is_let_in, refuse_open_doors, url_of
from flows.servers.galleries import Galleries
from tasks.reporting.served import GALLERY
from tasks.review_images import review_images
from tasks.runtime.context import new_run_id
from tasks.storage.objects import ObjectStore

AUTH = "PACKSHOT_AUTH"  # the environment variable that holds "name:password"
FORM = "review-images"  # what the page asks for, and sends to: names of Prefect's API
LONGEST = 1 << 20  # bytes of what one page sends


@dataclass(frozen=True)
class BrowseOptions:
    """What `packshot browse` is told. Port 0 takes a free one."""

    store: str
    host: str = "127.0.0.1"
    port: int = 4300


def browse(options: BrowseOptions, say: Callable[[str], None]) -> None:
    """Serves until SIGINT, SIGTERM or SIGHUP. Raises ConfigError and StoreError for what was asked for."""
    refuse_open_doors(options.host, AUTH, "see the galleries and reject images")
    password = os.environ.get(AUTH, "")
    if password and ":" not in password:
        raise ConfigError(f"{AUTH}: expected name:password, with a colon, which browsers put between the two")
    store = existing_store(options.store)
    port = claim_port(options.host, options.port)
    app = for_this_machine(Galleries(ReviewsApi(store, password), store.url, password), AUTH)
    say(f"Galleries: {url_of(options.host, port)}{GALLERY}\nCtrl-C stops it.")
    try:
        uvicorn.run(app, host=options.host, port=port, log_level="warning", lifespan="off")
    except BaseException as error:
        if interruption(error) is None:
            raise


class ReviewsApi:
    """An ASGI application (3.0): takes what a gallery sends, and leads everyone else to the galleries.

    It answers as Prefect's API does, whose form `review-images` a page fills in. Only JSON is taken, which a browser
    sends for no other site's page without asking first (Fetch Standard, CORS-safelisted request headers).
    """

    def __init__(self, store: ObjectStore, password: str) -> None:
        self.store, self.password = store, password
        self.one_at_a_time = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "http":
            await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if not request.url.path.startswith("/api/"):
            return RedirectResponse(GALLERY)
        if not is_let_in(request.headers.get("authorization", "").encode("latin-1"), self.password):
            return PlainTextResponse("name and password, please", HTTPStatus.UNAUTHORIZED)
        asked = request.method, request.url.path
        if asked == ("GET", f"/api/deployments/name/{FORM}/{FORM}"):
            return JSONResponse({"id": FORM, "parameters": {"parameters": {}}})
        if asked == ("POST", f"/api/deployments/{FORM}/create_flow_run"):
            return await self._taken(request)
        return PlainTextResponse("there is nothing here but verdicts on images", HTTPStatus.NOT_FOUND)

    async def _taken(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return PlainTextResponse("expected JSON", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST:
                return PlainTextResponse("more than a page sends", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            said = json.loads(body)["parameters"]["parameters"]
            named = {Verdict.REJECTED: str(said["reject"]), Verdict.APPROVED: str(said["approve"])}
            note = str(said.get("note", ""))  # pages of an older packshot send none
            "".join((*named.values(), note)).encode()  # JSON may hold halves of letters
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return PlainTextResponse("expected what a gallery sends", HTTPStatus.UNPROCESSABLE_ENTITY)
        try:
            async with self.one_at_a_time:
                run_id = await asyncio.to_thread(self._review, named, note[:NOTE_MAXIMUM])
        except ConfigError as fault:
            return PlainTextResponse(str(fault), HTTPStatus.UNPROCESSABLE_ENTITY)
        except StoreError as fault:
            return PlainTextResponse(str(fault), HTTPStatus.BAD_GATEWAY)
        return JSONResponse({"id": run_id})

    def _review(self, named: dict[Verdict, str], note: str) -> str:
        now = datetime.now(UTC)
        run_id = f"review-{new_run_id(now)}"
        review_images(self.store, named, note, run_id, now)
        return run_id
