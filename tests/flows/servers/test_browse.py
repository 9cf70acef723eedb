"""`packshot browse`: galleries without Prefect, and verdicts that a page sends."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog_schemas.errors import ConfigError, StoreNotFound
from flows.servers.browse import AUTH, LONGEST, BrowseOptions, ReviewsApi, browse
from flows.servers.galleries import Galleries
from tasks.storage.objects import ObjectStore
from tests.flows.shop import Shop, assert_sound

SECRET = {b"authorization": b"Basic bWU6c2VjcmV0"}  # me:secret
JSON = {b"content-type": b"application/json"}
TAKEN = "/gallery/api/deployments/review-images/create_flow_run"


def ask(store: ObjectStore, path: str, body: Any = None, password: str = "", **more: Any) -> tuple[int, str]:
    """The status and the body of an answer, or where it leads; `body` is sent as JSON, bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = more.get("headers", JSON)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {"type": "http", "method": "GET" if body is None else "POST", "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"", "headers": list(headers.items())}
    asyncio.run(Galleries(ReviewsApi(store, password), store.url, password)(scope, receive, send))
    told = dict(sent[0]["headers"])
    return sent[0]["status"], (told.get(b"location") or b"".join(one["body"] for one in sent[1:])).decode()


def said(reject: str = "", approve: str = "", **more: str) -> dict[str, Any]:
    """What a page sends: the form's values with its own."""
    return {"parameters": {"parameters": {"reject": reject, "approve": approve, **more}}}


def test_what_a_page_says_of_images_is_done_at_once(open_shop: Shop) -> None:
    store, (bad, good, *others) = open_shop.objects, open_shop.live()
    status, form = ask(store, "/gallery/api/deployments/name/review-images/review-images")
    assert (status, json.loads(form)) == (200, {"id": "review-images", "parameters": {"parameters": {}}})
    status, answer = ask(store, TAKEN, said(bad["key"], good["key"], note="the label is cut"))
    assert (status, json.loads(answer)["id"].partition("-")[0]) == (200, "review")
    assert {row["image_id"] for row in open_shop.live()} == {row["image_id"] for row in (good, *others)}
    verdicts = {row["image_id"]: (row["verdict"], row["note"]) for row in open_shop.table("reviews")}
    why = "the label is cut"
    assert verdicts == {bad["image_id"]: ("rejected", why), good["image_id"]: ("approved", why)}
    assert ask(store, TAKEN, said(approve=others[0]["key"]))[0] == 200, "as pages of an older packshot send it"
    assert "is not in the store any more" not in ask(store, "/gallery/")[1]
    assert_sound(open_shop)


@pytest.mark.parametrize(
    ("sent", "headers", "status"),
    [
        (said("images/none/web/x-0123456789ab.webp"), JSON, 422),
        (said(), JSON, 422),
        ({"parameters": {}}, JSON, 422),
        ([1], JSON, 422),
        (said("images/\ud800/web/x-0123456789ab.webp"), JSON, 422),
        (said("images/a/web/x-0123456789ab.webp", note="\ud800"), JSON, 422),
        ({"parameters": {"parameters": ["reject", "approve"]}}, JSON, 422),
        (b"{", JSON, 422),
        pytest.param(b"[" * LONGEST, JSON, 422, id="too deep"),
        (b"\xff", JSON, 422),
        (said("a"), {}, 415),
        (said("a"), {b"content-type": b"text/plain"}, 415),
        (b" " * (LONGEST + 1), JSON, 413),
    ],
)
def test_what_no_page_sends_is_refused_and_changes_nothing(
    finished: Shop, sent: Any, headers: dict[bytes, bytes], status: int
) -> None:
    assert ask(finished.objects, TAKEN, sent, headers=headers)[0] == status
    assert finished.table("reviews") == []


def test_nobody_comes_in_without_the_password(finished: Shop) -> None:
    paths = ("/gallery/", TAKEN, "/gallery/api/deployments/name/review-images/review-images")
    for headers in ({}, {b"authorization": b"Basic bWU6d3Jvbmc="}):
        for path in paths:
            body = said("a") if path == TAKEN else None
            assert ask(finished.objects, path, body, "me:secret", headers=JSON | headers)[0] == 401
    assert ask(finished.objects, "/gallery/", None, "me:secret", headers=SECRET)[0] == 200
    assert ask(finished.objects, TAKEN, said(), "me:secret", headers=JSON | SECRET)[0] == 422


def test_other_addresses_lead_to_the_galleries_and_no_api_is_there(finished: Shop) -> None:
    assert ask(finished.objects, "/") == (307, "/gallery/")
    assert ask(finished.objects, "/v2/runs/flow-run/review-1") == (307, "/gallery/"), "as a page links what was done"
    assert ask(finished.objects, "/gallery/api/flow_runs/filter", {})[0] == 404
    assert ask(finished.objects, "/api/deployments/filter", {})[0] == 404


def test_what_was_asked_for_is_refused_before_it_begins(
    finished: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**asked: Any) -> str:
        with pytest.raises((ConfigError, StoreNotFound)) as fault:
            browse(BrowseOptions(**{"store": finished.store, "port": 0} | asked), print)
        return str(fault.value)

    assert f'anyone see the galleries and reject images; set {AUTH}="name:password"' in refused(host="0.0.0.0")
    assert "ports end at 65535" in refused(port=70_000)
    assert "no run has published here" in refused(store=str(tmp_path))
    monkeypatch.setenv(AUTH, "secret")
    assert "expected name:password" in refused()


@pytest.fixture
def served(finished: Shop, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that is ended by its own id."""
    output = tmp_path / "said.txt"
    command = [sys.executable, "-m", "flows.commands.command_line", "browse", "--store", finished.store, "--port", "0"]
    with output.open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, text=True, env=os.environ | {AUTH: "me:secret"})
    try:
        while not (found := re.search(r"http://\S+/gallery/", output.read_text())):
            assert process.poll() is None, output.read_text()
        yield process, found[0]
    finally:
        process.kill()
        process.wait()


def test_it_shows_what_is_live_and_ends_when_it_is_told_to(
    served: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    process, url = served
    with pytest.raises(urllib.error.HTTPError, match="401"):
        _read(url, None)
    assert "mug-1" in _read(url, "Basic bWU6c2VjcmV0")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert (tmp_path / "said.txt").read_text().endswith("Ctrl-C stops it.\nStopped.\n")


def _read(url: str, authorization: str | None) -> str:
    """The page, once the server answers."""
    request = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:  # it has said where it will be
            continue
