import base64
import itertools
import re
import threading
import time
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import pytest

from catalog_schemas.errors import StoreDenied, StoreError, StoreNotFound, StoreUnreachable
from tasks.storage import objects
from tasks.storage.catalogs import open_parquet
from tasks.storage.objects import ObjectStore, open_store
from tasks.storage.tables import Tables
from tests.servers.azurite import KEY, AzureServer
from tests.servers.faulty import (
    CUT,
    ERROR,
    EXPIRED,
    LOSE_REPLY,
    PASS,
    REFUSE,
    THROTTLE,
    UNCONDITIONAL,
    Headers,
    Translator,
    faulty_proxy,
    first,
)
from tests.servers.fixtures import CLOUDS, CloudServer, use
from tests.servers.gcs import GoogleServer
from tests.servers.moto import SECRET
from tests.servers.process import free_port
from tests.storage.publisher import publish

HARD = [ERROR, THROTTLE, REFUSE, LOSE_REPLY]
# Where nobody answers, or the proxy alone, Ceph is the S3 that moto is: the same driver, and no server asked.
unanswered = pytest.mark.parametrize("cloud", [name for name in CLOUDS if name != "ceph"], indirect=True)


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    told = "".join(traceback.format_exception(error))
    assert SECRET not in told
    assert KEY not in told
    return text


def test_a_wrong_bucket_is_not_found_and_not_made(cloud: CloudServer) -> None:
    url = cloud.url("no-such-bucket") + "/shop"
    for _ in range(2):
        with pytest.raises(StoreNotFound, match=f"{url}: there is no such bucket") as caught:
            open_store(url)
        one_line(caught.value)


def test_a_bucket_that_vanishes_is_not_found_by_any_call(cloud: CloudServer) -> None:
    store = ObjectStore(cloud.url("no-such-bucket"), single_writer=True)
    calls = [
        lambda: store.write("a", b"1"),
        lambda: store.create("a", b"1"),
        lambda: store.read("a"),
        lambda: store.exists("a"),
        lambda: list(store.list("a")),
        lambda: store.delete(["a"]),
    ]
    for call in calls:
        with pytest.raises(StoreNotFound, match="no such bucket"):
            call()
    with pytest.raises(StoreError):
        Tables(store).merge("runs", Tables(store).read("runs"), "r")


def test_missing_credentials_are_denied_with_the_variables_to_set(s3, monkeypatch) -> None:
    url = s3.make_bucket("locked")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreDenied, match=r"s3://locked: access denied.*AWS_ACCESS_KEY_ID") as caught:
        open_store(url)
    one_line(caught.value)


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (EXPIRED, "renew the credentials"),
        ("403 RequestTimeTooSkewed", "this machine's clock"),
        ("400 AuthorizationHeaderMalformed", "AWS_REGION"),
        ("403 InvalidAccessKeyId", "check the credentials"),
    ],
)
def test_why_s3_refuses_is_told_though_half_of_its_answers_hold_no_code(s3, monkeypatch, answer, advice) -> None:
    """As to HEAD, with which a bucket is looked for; and the Delta driver has only texts."""
    with faulty_proxy(s3.endpoint, lambda *_: answer) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        store = ObjectStore("s3://locked", single_writer=True)
        for call in (store.probe, lambda: store.write("a", b"1"), lambda: Tables(store).read("runs")):
            with pytest.raises(StoreDenied, match=rf"({answer[4:]}|OSError).*{advice}") as caught:
                call()
            one_line(caught.value)
        with pytest.raises(StoreDenied, match=rf"s3://locked/catalog.parquet: access denied.*({advice}|credentials)"):
            open_parquet("s3://locked/catalog.parquet")


def test_missing_credentials_of_google_are_denied(google, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    use({"NO_GCE_CHECK": "true", "CLOUDSDK_CONFIG": str(tmp_path)}, monkeypatch)
    with pytest.raises(StoreDenied, match=r"gs://locked: access denied.*GOOGLE_APPLICATION_CREDENTIALS") as caught:
        open_store("gs://locked")
    one_line(caught.value)


def test_missing_and_wrong_credentials_of_azure_are_denied(azure, monkeypatch) -> None:
    url = azure.make_bucket(f"locked-{uuid.uuid4().hex[:8]}")
    other = base64.b64encode(b"another key").decode()
    name = "AZURE_STORAGE_CONNECTION_STRING"
    for text in (azure.environment[name].replace(KEY, other), ""):
        monkeypatch.setenv(name, text)
        with pytest.raises(StoreDenied, match=rf"{url}: access denied.*{name}") as caught:
            open_store(url)
        assert other not in one_line(caught.value)


@unanswered
def test_an_endpoint_where_nobody_listens_is_unreachable_within_seconds(cloud: CloudServer, monkeypatch) -> None:
    use(cloud.at(f"http://127.0.0.1:{free_port()}"), monkeypatch)
    began = time.monotonic()
    with pytest.raises(StoreUnreachable, match=f"{cloud.url('anything')}: no usable answer") as caught:
        open_store(cloud.url("anything"))
    assert time.monotonic() - began < 60
    one_line(caught.value)


def test_an_endpoint_that_is_no_url_is_named(monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    for call in (open_store, open_parquet):
        with pytest.raises(StoreUnreachable, match=r"AWS_ENDPOINT_URL.*http://.*'localhost:9000'"):
            call("s3://anything/shop")


@pytest.mark.parametrize("fault", HARD)
def test_a_passing_fault_is_ridden_out_at_every_operation(cloud: CloudServer, monkeypatch, fault: str) -> None:
    monkeypatch.setattr(objects, "PAUSES", (0.01, *objects.PAUSES[1:]))
    url = cloud.make_bucket(f"weather-{HARD.index(fault)}")
    decide = first(PASS)

    def moody(method: str, path: str) -> str:
        return decide(method, path)

    with faulty_proxy(cloud.endpoint, moody) as endpoint:
        use(cloud.at(endpoint), monkeypatch)
        store = open_store(url)
        store.probe_conditional_writes()
        store.write("old", b"old")
        decide = first(fault)
        store.write("a", b"1")
        decide = first(fault)
        assert store.create("b", b"2"), "the creator learns that it won, though its reply was lost"
        decide = first(fault)
        assert not store.create("b", b"2")
        decide = first(fault)
        assert store.read("a") == b"1"
        decide = first(fault)
        assert store.exists("a")
        decide = first(fault)
        store.delete(["old"])
        decide = first(fault)
        assert [entry.key for entry in store.list()] == ["a", "b"]


@pytest.mark.parametrize("fault", [REFUSE, LOSE_REPLY])
def test_a_commit_is_made_once_whichever_request_of_it_fails(cloud: CloudServer, monkeypatch, fault) -> None:
    url = cloud.make_bucket(f"commit-{fault.replace(' ', '-')}")
    weak = ["PUT create", "PUT data", "PUT commit", "GET log", "GET data"]  # one run's weak request after another
    broken: list[str] = []

    def decide(method: str, path: str) -> str:
        path = unquote(path)
        kind = "log" if "_delta_log" in path else "data"
        commit = "create" if "0000.json" in path else "commit"
        verb = "PUT" if method == "POST" else method  # Google's uploads
        name = f"{verb} {commit if kind == 'log' and verb == 'PUT' else kind}"
        if not weak or name != weak[0] or broken[-1:] == [name]:
            return PASS
        broken.append(name)
        return fault

    with faulty_proxy(cloud.endpoint, decide) as endpoint:
        use(cloud.at(endpoint), monkeypatch)
        store = open_store(url)
        store.probe_conditional_writes()
        for run in range(len(weak)):
            changed = publish(store, f"run-{run}", ["common", f"own-{run}"])
            assert changed == (2 if run == 0 else 1), broken
            assert weak.pop(0) == broken[-1], "the fault came"
        held = Tables(store).read("images", ["image_id"])["image_id"].to_pylist()
        assert sorted(held) == sorted(["common", *(f"own-{run}" for run in range(5))])
        assert Tables(store).version("images") == 5


def test_a_cut_body_is_read_again(cloud: CloudServer, monkeypatch) -> None:
    url = cloud.make_bucket("cut")
    decide = first(PASS)
    with faulty_proxy(cloud.endpoint, lambda *asked: decide(*asked)) as endpoint:
        use(cloud.at(endpoint), monkeypatch)
        store = open_store(url)
        store.write("a", b"1" * 100_000)
        decide = first(CUT, method="GET")
        assert store.read("a") == b"1" * 100_000


@unanswered
def test_a_server_that_stays_down_is_unreachable(cloud: CloudServer, monkeypatch) -> None:
    url = cloud.make_bucket("down")
    decide = first(PASS)
    with faulty_proxy(cloud.endpoint, lambda *asked: decide(*asked)) as endpoint:
        use(cloud.at(endpoint), monkeypatch)
        store = open_store(url)
        decide = first(ERROR, times=10**6)
        began = time.monotonic()
        with pytest.raises(StoreUnreachable, match=f"{url}/a: no usable answer"):
            store.write("a", b"1")
        with pytest.raises(StoreUnreachable, match=f"{url}/tables/runs"):
            Tables(store).read("runs")
        assert time.monotonic() - began < 120


# Ceph knows by the signature that a header was taken out on the way, and so never plays this liar.
@pytest.mark.parametrize("cloud", [name for name in CLOUDS if name != "ceph"], indirect=True)
def test_a_store_that_ignores_conditional_writes_is_refused_unless_one_writes(cloud: CloudServer, monkeypatch) -> None:
    url = cloud.make_bucket("liar")
    with faulty_proxy(cloud.endpoint, lambda *_: UNCONDITIONAL) as endpoint:
        # Azure's key signs the headers: only with a token can one be taken out on the way
        use(cloud.with_token(endpoint) if isinstance(cloud, AzureServer) else cloud.at(endpoint), monkeypatch)
        store = open_store(url)
        refused = [
            lambda: store.create("a", b"1"),
            lambda: Tables(store).merge("runs", Tables(store).read("runs"), "r"),
        ]
        for call in refused:
            with pytest.raises(StoreError, match=r"ignores conditional writes.*single_writer: true"):
                call()
        assert list(store.list()) == [], "the probe leaves nothing behind"
        alone = open_store(url, single_writer=True)
        assert alone.create("a", b"1")
        assert not alone.create("a", b"2")
        assert alone.read("a") == b"1"


def test_a_server_that_takes_no_xml_uploads_is_told_apart(google: GoogleServer, monkeypatch) -> None:
    url = google.make_bucket("no-xml")
    use(google.at(google.untranslated), monkeypatch)
    with pytest.raises(StoreError, match=r"gs://no-xml/tables/images: the server lacks uploads by Google's XML API"):
        publish(open_store(url), "run")


class FromTheBeginning(Translator):
    """A server that ignores where a listing is to start."""

    def ask(self, method: str, path: str, headers: Headers, body: bytes) -> tuple[str, str, Headers, bytes]:
        return method, re.sub("&startFrom=[^&]*", "", path), headers, body


def test_a_server_that_lists_from_the_beginning_is_told_apart(azure: AzureServer, monkeypatch) -> None:
    url = azure.make_bucket("from-the-beginning")
    with faulty_proxy(azure.endpoint, lambda *_: PASS, FromTheBeginning()) as endpoint:
        use(azure.with_token(endpoint), monkeypatch)
        store = open_store(url)
        publish(store, "run-1", ["a"])
        with pytest.raises(StoreError, match="the server ignores where a listing is to start"):
            publish(store, "run-2", ["b"])


def test_eight_creators_on_a_bad_line_have_one_winner(cloud: CloudServer, monkeypatch) -> None:
    url = cloud.make_bucket("bad-line")
    turn, racing = itertools.count(), False
    faults = [
        PASS,
        LOSE_REPLY,
        REFUSE,
        LOSE_REPLY,
        ERROR,
        PASS,
        LOSE_REPLY,
        REFUSE,
        LOSE_REPLY,
        ERROR,
        PASS,
        LOSE_REPLY,
    ]

    def decide(method: str, path: str) -> str:
        number = next(turn) if racing and method in ("PUT", "POST") else len(faults)
        return faults[number] if number < len(faults) else PASS

    with faulty_proxy(cloud.endpoint, decide) as endpoint:
        use(cloud.at(endpoint), monkeypatch)
        stores = [open_store(url) for _ in range(8)]
        for store in stores:
            store.probe_conditional_writes()
        start, racing = threading.Barrier(8), True

        def take(writer: int) -> bool:
            start.wait()
            return stores[writer].create("race", b"the same")

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take, range(8))) == 1
