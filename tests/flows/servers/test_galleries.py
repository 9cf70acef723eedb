"""Galleries over HTTP: what the store shows, to whom, and nothing else of it."""

import asyncio
import html
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.servers.asgi import Message, Receive, Send
from flows.servers.galleries import Galleries
from tasks.imaging.decode import decode
from tasks.imaging.pixels import scale_rgb
from tasks.reporting.gallery import SCRIPTS, STYLES, policy
from tasks.reporting.served import BROWSED, SERVED, is_shown, served_at
from tasks.storage.objects import ObjectStore
from tests.imaging.pictures import wooden_table

REPORT = "runs/20261129-010000-abcdef/report/index.html"
IMAGE = "images/MUG%201/web/wooden-table_original_scene_composite_0-0123456789ab.webp"
AUTHORIZED = {"authorization": b"Basic bWU6c2VjcmV0"}  # me:secret


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    made = ObjectStore(str(tmp_path / "store"))
    made.write(REPORT, b"<script>alert(1)</script>")
    made.write(IMAGE, b"pixels")
    made.write("runs/20261129-010000-abcdef/config.json", b"{}")
    return made


async def _prefect(scope: Message, receive: Receive, send: Send) -> None:
    """Stands for Prefect's server: says which path it was asked for."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def ask(
    store: ObjectStore, path: str, method: str = "GET", password: str = "", **headers: bytes
) -> tuple[int, dict, bytes]:
    """The status, the headers and the body of an answer."""
    sent: list[dict[str, Any]] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(dict(message))

    given = [(name.encode(), value) for name, value in headers.items()]
    path, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode()}
    scope["headers"] = given
    asyncio.run(Galleries(_prefect, store.url, password)(scope, receive, send))
    told = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(message["body"] for message in sent[1:])


def test_reports_and_images_are_shown_and_all_else_is_prefects(store: ObjectStore) -> None:
    status, headers, body = ask(store, f"/gallery/{REPORT}")
    assert (status, body, headers["cache-control"]) == (200, b"<script>alert(1)</script>", "no-cache")
    status, headers, body = ask(store, f"/gallery/{IMAGE}")
    assert (status, body, headers["content-type"]) == (200, b"pixels", "image/webp")
    assert "immutable" in headers["cache-control"]
    assert ask(store, "/v2/deployments")[2] == b"/v2/deployments"
    assert ask(store, "/gallery/api/deployments/x/create_flow_run", "POST")[2] == b"/api/deployments/x/create_flow_run"


def test_an_image_is_shown_small_where_a_tile_asks_for_it_and_a_damaged_one_as_it_is(store: ObjectStore) -> None:
    for form, suffix in (("WEBP", "webp"), ("JPEG", "jpg"), ("PNG", "png")):
        key, file = f"images/MUG/web/large.{suffix}", io.BytesIO()
        Image.fromarray(wooden_table(1200)[:900]).save(file, form)
        store.write(key, file.getvalue())
        status, headers, body = ask(store, f"/gallery/{key}?small")
        assert (status, headers["content-type"]) == (200, "image/webp")
        assert "immutable" in headers["cache-control"]
        small = decode(body, 1 << 20).rgb
        assert small.shape == (300, 400, 3)
        expected = scale_rgb(wooden_table(1200)[:900], 400, 300)
        assert np.abs(small.astype(int) - expected).mean() < 4
        assert ask(store, f"/gallery/{key}")[2] == file.getvalue()
    assert ask(store, f"/gallery/{IMAGE}?small")[::2] == (200, b"pixels")
    assert ask(store, "/gallery/images/MUG/web/gone.webp?small")[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "runs/20261129-010000-abcdef/config.json",
        "runs/20261129-010000-abcdef/report/../config.json",
        "runs/20261129-010000-abcdef/report/summary.json",
        "images/MUG/web/../../../tables/images/_delta_log/0.json",
        "images/../web/evil.webp",
        "images/MUG/web/a b.webp",
        "images/MUG/web/evil.svg",
        "images/MUG/web/evil.html",
        "adapters/MUG/0/adapter.safetensors",
        "tables/images/0.parquet",
        "cache/references/../../../../etc/passwd",
        "../../etc/passwd",
        "/etc/passwd",
        "images/MUG/web/gone.webp",
        "gallery/other.html",
    ],
)
def test_nothing_else_of_the_store_is_shown(store: ObjectStore, path: str) -> None:
    store.write("runs/20261129-010000-abcdef/report/summary.json", b"{}")
    status, _, body = ask(store, f"/gallery/{path}")
    assert status == 404
    assert body in (b"no gallery or image is here", b"it is not in the store any more")


def test_a_page_that_somebody_has_put_into_the_store_runs_no_script(store: ObjectStore) -> None:
    _, headers, _ = ask(store, f"/gallery/{REPORT}")
    assert headers["content-security-policy"] == policy()
    assert re.search(r"script-src( 'sha256-[\w+/=]+')+;", policy())
    assert "default-src 'none'" in policy()
    assert headers["x-content-type-options"] == "nosniff"


def test_a_gallery_of_an_earlier_version_keeps_its_script_and_its_style(store: ObjectStore) -> None:
    _, headers, _ = ask(store, f"/gallery/{REPORT}")
    told = dict(one.split(" ", 1) for one in headers["content-security-policy"].split("; "))
    for name, earlier in (("script-src", SCRIPTS), ("style-src", STYLES)):
        assert len(earlier) > 1
        assert all(f"'sha256-{one}'" in told[name].split() for one in earlier)


def test_the_front_page_is_made_under_the_same_policy(store: ObjectStore) -> None:
    status, headers, body = ask(store, "/gallery/?q=R%C3%B6d+mug&show=unreviewed")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "text/html; charset=utf-8", "no-cache")
    assert headers["content-security-policy"] == policy()
    own = re.findall("'sha256-[^']*'", html.unescape(body.decode()).partition("connect-src")[0])
    assert len(own) == 2
    assert all(one in policy() for one in own), "what it says of itself, by which its script runs"
    assert 'value="Röd mug"' in body.decode()
    status, headers, _ = ask(store, "/gallery")
    assert (status, headers["location"]) == (307, "/gallery/")


def test_a_gallery_of_live_images_in_the_store_is_shown(store: ObjectStore) -> None:
    store.write("gallery/index.html", b"live")
    assert ask(store, "/gallery/gallery/index.html")[2] == b"live"


def test_whoever_has_not_the_servers_password_sees_nothing(store: ObjectStore) -> None:
    for path in ("", "?q=mug", REPORT, IMAGE, "images/MUG/web/gone.webp"):
        status, headers, body = ask(store, f"/gallery/{path}", password="me:secret")
        assert (status, body) == (401, b"name and password, please")
        assert headers["www-authenticate"].startswith("Basic ")
        wrong = ask(store, f"/gallery/{path}", password="me:secret", authorization=b"Basic bWU6d3Jvbmc=")
        assert wrong[0] == 401
    assert ask(store, f"/gallery/{REPORT}", password="me:secret", **AUTHORIZED)[0] == 200


def test_nobody_writes_there(store: ObjectStore) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert ask(store, f"/gallery/{REPORT}", method)[0] == 404
    assert store.read(IMAGE) == b"pixels"


def test_a_store_that_is_away_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, _, body = ask(ObjectStore(str(tmp_path / "file")), f"/gallery/{IMAGE}")
    assert status in (404, 502)
    assert body


def test_a_run_names_the_gallery_where_its_server_shows_its_store(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert served_at(store, IMAGE) == ""
    monkeypatch.setenv(SERVED, store.url)
    assert served_at(store, IMAGE) == f"/gallery/{IMAGE.replace('%', '%25')}"
    assert served_at(ObjectStore(str(tmp_path / "another")), IMAGE) == ""
    monkeypatch.delenv(SERVED)
    for told in ("https://pictures.example.com", "https://pictures.example.com/gallery/"):
        monkeypatch.setenv(BROWSED, told)
        assert served_at(store, IMAGE) == f"https://pictures.example.com/gallery/{IMAGE.replace('%', '%25')}"
    assert is_shown(IMAGE)
