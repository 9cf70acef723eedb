"""A photo on the web is fetched from where the configuration allows, within limits; a bad one costs itself alone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog_schemas.rejection import Reason
from tests.bad_input.night import BAD, Night
from tests.drawn_products import photo_files
from tests.servers.web import WebServer, web_server

LIMIT = 1_000_000
HASTY = {"stall_seconds": 2.0, "seconds": 6.0}  # on a busy machine, the photos that are fine take a while
Make = Callable[[WebServer], str]
pytestmark = pytest.mark.usefixtures("asked_again_soon")


@pytest.fixture
def site() -> Iterator[WebServer]:
    with web_server() as site:
        yield site


@pytest.fixture
def other() -> Iterator[WebServer]:
    """A server that the configuration does not name."""
    with web_server() as other:
        yield other


def allow(night: Night, *prefixes: str, **web: object) -> None:
    """Allows addresses on loopback, which the tests' servers have."""
    settings = {"allow_private_addresses": True} | web
    night.catalog = {"reference_prefixes": list(prefixes), "web": settings, "reference_bytes_maximum": LIMIT}


def serve_photos(night: Night, site: WebServer, sku: str, product: int) -> None:
    """A product whose photos all lie on the web."""
    photos = []
    for view in range(2):
        file, _ = photo_files(product, view, alpha=True)
        photos.append(site.photo(f"/{sku}/{view}.png", file, ETag=f'"{sku}-{view}"'))
    night.add(sku, references=photos)


def photo(site: WebServer, path: str = "/files/a.png", **headers: str) -> str:
    return site.photo(path, b"\x89PNG\r\n\x1a\n", **headers)


def loop(site: WebServer) -> str:
    site.redirect("/loop/b", "/loop/a")
    return site.redirect("/loop/a", "/loop/b", 301)


def status(code: int) -> Make:
    def make(site: WebServer) -> str:
        site.pages[f"/files/{code}"] = (code, {}, b"<html>no</html>")
        return f"{site.endpoint}/files/{code}"

    return make


def declared_too_long(site: WebServer) -> str:
    return site.photo("/files/huge.jpg", b"\xff\xd8" * LIMIT)


MISSING, FORBIDDEN = Reason.REFERENCE_MISSING, Reason.REFERENCE_FORBIDDEN
DENIED, UNREACHABLE = Reason.REFERENCE_DENIED, Reason.REFERENCE_UNREACHABLE
TOO_LARGE, TIMED_OUT, UNREADABLE = (
    Reason.REFERENCE_TOO_LARGE,
    Reason.REFERENCE_TIMED_OUT,
    Reason.REFERENCE_UNREADABLE,
)
REFUSED: dict[str, tuple[Make, Reason]] = {
    "404": (lambda site: f"{site.endpoint}/none.jpg", MISSING),
    "410": (status(410), MISSING),
    "400": (status(400), MISSING),
    "an answer without a photo": (status(204), MISSING),
    "403": (status(403), DENIED),
    "401": (status(401), DENIED),
    "500 for good": (status(500), UNREACHABLE),
    "429 for good": (status(429), UNREACHABLE),
    "a body that is cut off": (lambda site: f"{site.endpoint}/cut/a.jpg", UNREACHABLE),
    "a stall": (lambda site: f"{site.endpoint}/stall/a.jpg", TIMED_OUT),
    "a byte now and then": (lambda site: f"{site.endpoint}/trickle/a.jpg", TIMED_OUT),
    "an endless body": (lambda site: f"{site.endpoint}/endless/a.jpg", TOO_LARGE),
    "a body that says that it is too long": (declared_too_long, TOO_LARGE),
    "a web page in the place of a JPEG": (
        lambda site: site.photo("/files/a.jpg", b"<!doctype html><title>Gone", Content_Type="image/jpeg"),
        UNREADABLE,
    ),
    "nothing": (lambda site: site.photo("/files/empty.jpg", b""), UNREADABLE),
    "compressed although nobody asked": (
        lambda site: site.photo("/files/z.png", b"\x1f\x8b\x08\0", Content_Encoding="gzip"),
        UNREADABLE,
    ),
    "a redirect in circles": (loop, MISSING),
    "a redirect to nowhere": (lambda site: site.redirect("/files/to", ""), MISSING),
    "a redirect to the cloud's metadata": (
        lambda site: site.redirect("/files/to", "http://169.254.169.254/latest/meta-data/"),
        FORBIDDEN,
    ),
    "a redirect to a private address": (lambda site: site.redirect("/files/to", "http://10.0.0.1/a.jpg"), FORBIDDEN),
    "a redirect to a system file": (lambda site: site.redirect("/files/to", "file:///etc/passwd"), FORBIDDEN),
    "a redirect with a password": (
        lambda site: site.redirect("/files/to", site.endpoint.replace("//", "//user:pass@")),
        FORBIDDEN,
    ),
    "a redirect to another scheme": (lambda site: site.redirect("/files/to", "gopher://127.0.0.1/"), FORBIDDEN),
    "a chained protocol": (lambda site: f"simplecache::{photo(site)}", FORBIDDEN),
    "a chained protocol of https": (lambda site: "simplecache::https://shop.example/a.jpg", FORBIDDEN),
    "an address that names a user": (lambda site: photo(site).replace("//", "//user:pass@"), FORBIDDEN),
    "the allowed host as a user": (lambda site: f"{site.endpoint}@shop.example/a.jpg", FORBIDDEN),
    "the allowed host as a part of another": (lambda site: f"{site.endpoint}.shop.example/a.jpg", FORBIDDEN),
    "https where http is allowed": (lambda site: photo(site).replace("http:", "https:"), FORBIDDEN),
    "another port": (lambda site: "http://127.0.0.1:9/a.jpg", FORBIDDEN),
    "another host": (lambda site: "https://shop.example/a.jpg", FORBIDDEN),
    "the same host by another name": (lambda site: photo(site).replace("127.0.0.1", "localhost"), FORBIDDEN),
    "the same host as a number": (lambda site: photo(site).replace("127.0.0.1", "2130706433"), FORBIDDEN),
    "a backslash": (lambda site: f"{site.endpoint}\\@shop.example/a.jpg", FORBIDDEN),
    "a hidden way up": (lambda site: f"{site.endpoint}/files/%2e%2e/a.jpg", FORBIDDEN),
    "no host": (lambda site: "https:///a.jpg", FORBIDDEN),
    "a port that is none": (lambda site: "http://127.0.0.1:99999/a.jpg", FORBIDDEN),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_web_photo_has_its_reason_and_costs_neither_its_product_nor_its_neighbours(
    night: Night, unharmed, site: WebServer, name: str
) -> None:
    make, reason = REFUSED[name]
    allow(night, f"{site.endpoint}/", redirects=2, **(HASTY if reason == TIMED_OUT else {}))
    night.add(references=["photos-bad/0.png", make(site), "photos-bad/1.png"])
    serve_photos(night, site, "neighbour", 1)
    judged = night.judge()
    stage = "prepare_references" if reason == UNREADABLE else "plan"
    assert judged.verdicts(BAD) == [(stage, reason)]
    assert "user:pass" not in judged.details(BAD)
    assert len(judged.fate(BAD).prepared) == 2
    assert len(judged.fate("neighbour").prepared) == 2
    unharmed(judged)


def test_a_server_that_fails_once_is_asked_again(night: Night, unharmed, site: WebServer) -> None:
    allow(night, f"{site.endpoint}/")
    serve_photos(night, site, "late", 1)
    site.failing |= {"/late/0.png": 2, "/late/1.png": 1}
    judged = night.judge()
    assert judged.verdicts("late") == []
    assert len(judged.fate("late").prepared) == 2
    unharmed(judged)


def test_a_redirect_within_what_is_allowed_is_followed(night: Night, site: WebServer, other: WebServer) -> None:
    allow(night, f"{site.endpoint}/", f"{other.endpoint}/files/")
    serve_photos(night, other, "files", 1)
    here = [site.redirect("/a", f"{other.endpoint}/files/0.png"), site.redirect("/b", "/c", 308)]
    site.redirect("/c", f"{other.endpoint}/files/1.png", 307)
    there = site.redirect("/d", f"{other.endpoint}/secret/1.png")
    night.add(references=[*here, there])
    judged = night.judge()
    assert judged.verdicts(BAD) == [("plan", FORBIDDEN)]
    assert judged.fate(BAD).photos == judged.fate("files").photos
    assert not any("secret" in path for _, path in other.asked)


def test_a_host_must_have_a_public_address_unless_the_configuration_says_otherwise(
    night: Night, unharmed, site: WebServer
) -> None:
    allow(night, f"{site.endpoint}/", site.endpoint.replace("127.0.0.1", "localhost"), allow_private_addresses=False)
    night.add(references=["photos-bad/0.png", photo(site), photo(site).replace("127.0.0.1", "localhost")])
    judged = night.judge()
    assert judged.verdicts(BAD) == [("plan", FORBIDDEN)] * 2
    assert "public internet" in judged.details(BAD)
    assert not site.asked
    unharmed(judged)


def test_http_needs_a_prefix_of_its_own_and_a_prefix_ends_at_a_slash(night: Night, site: WebServer) -> None:
    secure = site.endpoint.replace("http:", "https:")
    allow(night, f"{secure}/files", f"{site.endpoint}/files")
    night.add(references=["photos-bad/0.png", photo(site, "/filesystem/a.png"), photo(site, "/a.png")])
    night.add("plain", references=["photos-bad/0.png", f"{secure}/files/a.png"])
    judged = night.judge()
    assert judged.verdicts(BAD) == [("plan", FORBIDDEN)] * 2
    assert judged.verdicts("plain") == [("plan", UNREACHABLE)], "TLS is asked of a server that has none"
    assert "certificate or TLS" in judged.details("plain")
    assert not site.asked


def test_nothing_of_the_environment_goes_along(
    night: Night, site: WebServer, other: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, other.endpoint)
    monkeypatch.delenv("no_proxy", raising=False)
    allow(night, f"{site.endpoint}/")
    serve_photos(night, site, "neighbour", 1)
    site.pages["/neighbour/0.png"][1]["Set-Cookie"] = "session=1"
    assert len(night.judge().fate("neighbour").prepared) == 2
    assert not other.asked
    sent = {name for headers in site.headers for name in headers}
    assert sent == {"host", "user-agent", "accept", "accept-encoding"}


def test_a_host_is_asked_no_more_than_so_often_at_once(night: Night) -> None:
    with web_server(pause=0.05) as site:
        allow(night, f"{site.endpoint}/", connections_per_host=3)
        for product in range(8):
            serve_photos(night, site, f"sku-{product}", product)
        judged = night.judge()
    assert len(judged.plan.jobs) == 10
    assert not judged.rejections
    assert 1 < site.busiest <= 3


def test_a_photo_is_fetched_once(night: Night, site: WebServer) -> None:
    allow(night, f"{site.endpoint}/")
    serve_photos(night, site, "neighbour", 1)
    night.judge()
    assert {path: count for path, count in site.asked.items() if path[0] == "GET"} == {
        ("GET", "/neighbour/0.png"): 1,
        ("GET", "/neighbour/1.png"): 1,
    }


def test_a_host_that_is_down_does_not_cost_the_night(night: Night, unharmed, site: WebServer) -> None:
    allow(night, f"{site.endpoint}/", stall_seconds=0.05, seconds=0.3)
    night.catalog["references_maximum"] = 100
    night.add(references=[f"{site.endpoint}/stall/{number}.jpg" for number in range(60)])
    judged = night.judge()
    reasons = [reason for _, reason in judged.verdicts(BAD)]
    assert reasons[-1] == Reason.SKU_NO_USABLE_REFERENCES
    assert set(reasons[:-1]) <= {TIMED_OUT, UNREACHABLE}
    assert len(reasons) == 61
    assert sum(site.asked.values()) < 60, "asked a few times, then left alone"
    unharmed(judged)
