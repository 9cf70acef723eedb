"""What `packshot serve` refuses before it starts anything; how it serves is tested in `tests/browser`."""

import fcntl
import os
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from catalog_schemas.errors import ConfigError
from flows.parameters import MakeVariantsParameters
from flows.servers.deployments import Nightly
from flows.servers.doors import claim_port
from flows.servers.prefect_server import answers
from flows.servers.serve import ServeOptions, _environment, serve
from tests.servers.process import free_port


def _options(home: Path) -> ServeOptions:
    return ServeOptions(catalog="catalog.parquet", store="store", preset="demo", port=0, home=home)


def test_no_door_is_opened_to_other_machines_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.7", "shop.example"):
        with pytest.raises(ConfigError, match="PREFECT_SERVER_API_AUTH_STRING"):
            serve(replace(_options(tmp_path / "home"), host=host), print)
    assert not (tmp_path / "home").exists()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port} .*--port 0"):
            serve(replace(_options(tmp_path), port=port), print)


def test_a_port_that_no_machine_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--port 99999 .*--port 0"):
        serve(replace(_options(tmp_path), port=99999), print)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_an_address_of_ipv6_is_served_too(host: str) -> None:
    port = claim_port(host, 0)
    assert _environment({}, host, port, Path("home"))["PREFECT_API_URL"] == f"http://[::1]:{port}/api"
    with socket.create_server(("::1", port), family=socket.AF_INET6), pytest.raises(ConfigError, match="in use"):
        claim_port(host, port)


def test_a_home_has_one_server(tmp_path: Path) -> None:
    with (tmp_path / "serve.lock").open("w") as lock:
        lock.write("server 4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match=r"another packshot serve.*server 4711"):
            serve(_options(tmp_path), print)


def test_a_home_that_is_a_file_or_holds_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "prefect.db").write_bytes(b"no database" * 1000)
    for home, words in (
        (tmp_path / "file", "cannot be kept.*--home"),
        (tmp_path, "cannot be read: file is not a database"),
    ):
        with pytest.raises(ConfigError, match=words):
            serve(_options(home), print)


def test_a_home_on_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=500_000))
    with pytest.raises(ConfigError, match=r"0.5 MB left.*make room"):
        serve(_options(tmp_path), print)


def test_a_preset_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sd15"):
        serve(replace(_options(tmp_path), preset="sd16"), print)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machines_own_server() -> None:
    for given, listed in (({}, "127.0.0.1"), ({"NO_PROXY": ".corp"}, ".corp,127.0.0.1"), ({"no_proxy": "*"}, "*")):
        told = _environment({"HTTP_PROXY": "http://proxy:3128"} | given, "0.0.0.0", 4200, Path("home"))
        assert (told["no_proxy"], told["NO_PROXY"]) == (listed, listed)


class _OnIpv6(HTTPServer):
    address_family = socket.AF_INET6


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    "others", ["", ".corp, [::2]:8080,[fd00::]/8,fd00::/8,10.0.0.0/8,https://example.com", "[::1]"]
)
def test_a_server_on_ipv6_answers_beside_a_proxy(others: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients disagree: the standard library's asks for brackets in `no_proxy`, and Prefect's refuses them."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", others)
    with _OnIpv6(("::1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in _environment(os.environ, "::1", server.server_port, Path("home")).items():
            monkeypatch.setenv(name, value)
        assert answers(os.environ["PREFECT_API_URL"])
        assert httpx.get(os.environ["PREFECT_API_URL"]).status_code == HTTPStatus.NOT_FOUND
        server.shutdown()


@pytest.mark.parametrize(
    ("cron", "timezone"),
    [("every night", "UTC"), ("0 2 * * *", "Europe/Atlantis"), ("0 2 31 2 *", "UTC"), ("30 0 2 * * *", "UTC")],
)
def test_a_schedule_that_is_none_is_refused(cron: str, timezone: str) -> None:
    with pytest.raises(ConfigError, match="the schedule"):
        Nightly(cron, timezone).next_run(datetime.now(UTC))


def test_the_next_night_is_told_in_the_schedules_own_zone() -> None:
    before_summer_time = datetime(2026, 3, 28, 12, tzinfo=UTC)
    following = Nightly("0 4 * * *", "Europe/Berlin").next_run(before_summer_time)
    assert following.isoformat() == "2026-03-29T04:00:00+02:00"


@pytest.mark.parametrize("text", ["A-1,B 2, C", "A-1\nB 2\r\nC\n", "A-1\tB 2;C, A-1", ["A-1", "B 2", "C"]])
def test_skus_come_as_a_person_would_paste_them(text: str) -> None:
    parameters = MakeVariantsParameters.model_validate({"catalog": "c", "store": "s", "preset": "demo", "skus": text})
    assert parameters.products.skus == ("A-1", "B 2", "C")


@pytest.mark.parametrize(
    ("text", "skus"),
    [
        ('"MUG,1", VASE-2', ("MUG,1", "VASE-2")),
        ('"a;b" ;"c ""q"" d"\n e f', ("a;b", 'c "q" d', "e f")),
        ('12" pan, "open, b\nc"', ('12" pan', '"open', "b", 'c"')),
        (["MUG,1", 'a"b', "x;y", '12" pan'], ("MUG,1", 'a"b', "x;y", '12" pan')),
    ],
)
def test_a_sku_with_a_comma_can_be_asked_for(text: object, skus: tuple[str, ...]) -> None:
    parameters = MakeVariantsParameters.model_validate({"catalog": "c", "store": "s", "preset": "demo", "skus": text})
    assert parameters.products.skus == skus


def test_a_form_without_products_is_not_the_whole_catalog() -> None:
    parameters = MakeVariantsParameters(catalog="c", store="s", preset="demo", skus=" , \n", category=" ")
    with pytest.raises(ConfigError, match="nightly-refresh"):
        _ = parameters.products


def test_the_form_keeps_titles_descriptions_and_bounds() -> None:
    fields = MakeVariantsParameters.model_json_schema()["properties"]
    assert all(field["title"] and field["description"] for field in fields.values())
    assert sorted(field["position"] for field in fields.values()) == [*range(1, 13), 90, 91, 92]
    assert (fields["images"]["minimum"], fields["images"]["maximum"]) == (1, 20)
    assert not [name for name, field in fields.items() if "anyOf" in field], "an Optional is a toggle in the form"
