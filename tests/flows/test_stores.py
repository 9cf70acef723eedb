"""The same run gives the same tables in any store; a store that cannot be used ends it with one line and no images."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from catalog_schemas.errors import StoreUnreachable
from flows import start
from flows.commands.command_line import main
from tasks.generate_variants import generate_variants
from tasks.runtime import outages
from tasks.storage import objects
from tasks.storage.objects import ObjectStore
from tasks.training import skus
from tests.flows.shop import Shop, assert_sound, comparable
from tests.servers.faulty import ERROR, PASS, faulty_proxy, first
from tests.servers.fixtures import CLOUDS, CloudServer
from tests.servers.moto import SECRET, S3Server
from tests.servers.process import free_port

STORE_FAILED = 4


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.make_bucket(f"shop-{uuid.uuid4().hex[:12]}") + "/store"


def _fails(shop: Shop, capfd: pytest.CaptureFixture[str], verb: str = "run") -> str:
    """Runs the command, which must end with the store's exit code and one clear line; returns that line."""
    capfd.readouterr()
    assert main(shop.command(verb)[3:]) == STORE_FAILED
    said = capfd.readouterr()
    assert json.loads(said.out) == {"error": said.err[len("packshot: ") : -1], "exit_code": STORE_FAILED}
    lines = said.err.splitlines()
    assert len(lines) == 1, said.err
    assert lines[0].startswith("packshot: ")
    assert SECRET not in lines[0]
    return lines[0]


@pytest.mark.parametrize(
    "cloud", [one if one != "ceph" else pytest.param(one, marks=pytest.mark.soak) for one in CLOUDS], indirect=True
)
def test_the_same_run_in_a_bucket_gives_the_same_tables(
    small: Shop, cloud: CloudServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its model lies in the bucket, too."""
    bucket = cloud.make_bucket(f"shop-{uuid.uuid4().hex[:12]}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for file in (path for path in small.model.rglob("*") if path.is_file()):
        ObjectStore(bucket).write(f"model/{file.relative_to(small.model).as_posix()}", file.read_bytes())
    shop = replace(small, store=f"{bucket}/store", changes=small.changes | {"model": {"source": f"{bucket}/model"}})
    shop.run()
    for name in ("images", "adapters", "rejections", "skus"):
        assert comparable(shop, name) == comparable(small, name), name
    assert_sound(shop)
    versions = [shop.tables.version(name) for name in ("images", "adapters", "skus")]
    again = shop.run().record
    assert (again.adapters_trained, again.images_planned, again.skus_skipped) == (0, 0, 1)
    assert [shop.tables.version(name) for name in ("images", "adapters", "skus")] == versions


def test_a_plan_writes_nothing_to_a_bucket(small: Shop, bucket: str, capfd: pytest.CaptureFixture[str]) -> None:
    shop = replace(small, store=bucket)
    assert main(shop.command("plan")[3:]) == 0
    assert json.loads(capfd.readouterr().out)["images"] == {"new": 4}
    assert shop.keys("") == []


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_wrong_bucket(finished: Shop, s3: S3Server, capfd: pytest.CaptureFixture[str], verb: str) -> None:
    line = _fails(replace(finished, store="s3://no-such-bucket/store"), capfd, verb)
    assert "s3://no-such-bucket/store: there is no such bucket" in line


def test_missing_credentials(
    finished: Shop, bucket: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "access denied" in _fails(replace(finished, store=bucket), capfd)


def test_an_endpoint_where_nobody_listens(
    finished: Shop, s3: S3Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    assert "no usable answer" in _fails(replace(finished, store="s3://anything/store"), capfd)


def test_a_bucket_that_fails_while_images_are_drawn_publishes_nothing_and_the_next_run_goes_on(
    small: Shop, bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outages, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(objects, "PAUSES", (0.01,))
    monkeypatch.setattr(generate_variants, "retry_delay_seconds", 0.01)
    shop, asked = replace(small, store=bucket), list[str]()

    def decide(method: str, path: str) -> str:
        if method == "PUT":
            asked.append(path)
        trained = next((number for number, key in enumerate(asked) if "/adapters/" in key), len(asked))
        return ERROR if any("cache/drafts" in key for key in asked[trained:]) else PASS

    with faulty_proxy(s3.endpoint, decide) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert "no usable answer" in _fails(shop, capfd)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    assert shop.keys("tables") == []
    assert len(shop.keys("adapters")) == 2, "what was finished is kept"
    shop.run()
    assert comparable(shop, "images") == comparable(small, "images")
    assert comparable(shop, "adapters") == comparable(small, "adapters")


def test_a_bucket_that_is_away_is_waited_for_and_nothing_is_trained_twice(
    small: Shop, bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(objects, "PAUSES", (0.01,))
    monkeypatch.setattr(outages, "EVERY_SECONDS", 0.1)
    refused, trained, train = list[str](), list[str](), skus.train_skus

    def decide(method: str, path: str) -> str:
        away = method == "PUT" and "/adapters/" in path and len(refused) < 4
        refused.extend([path] if away else [])
        return ERROR if away else PASS

    def noted(context, stage, *arguments):
        trained.append(stage)
        return train(context, stage, *arguments)

    monkeypatch.setattr(skus, "train_skus", noted)
    with faulty_proxy(s3.endpoint, decide) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        shop = replace(small, store=bucket)
        capfd.readouterr()
        assert main([word for word in shop.command()[3:] if word != "--json"]) == 0
    assert (len(refused), trained) == (4, ["train_adapters"])
    said = [line for line in capfd.readouterr().err.splitlines() if "Waiting for" in line]
    assert len(said) == 1
    assert said[0].endswith(
        f"Waiting for up to 15 minutes: {refused[0].replace('/', 's3://', 1)}: no usable answer (503)"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    assert comparable(shop, "images") == comparable(small, "images")


def test_a_night_that_begins_while_the_bucket_is_away_waits_and_a_command_does_not(
    small: Shop, bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "PAUSES", (0.01,))
    monkeypatch.setattr(outages, "EVERY_SECONDS", 0.01)
    shop = replace(small, store=bucket)
    for deployed, begins in ((True, nullcontext()), (False, pytest.raises(StoreUnreachable))):
        monkeypatch.setattr(start, "is_deployed", lambda deployed=deployed: deployed)
        with faulty_proxy(s3.endpoint, first(ERROR, times=5)) as endpoint, begins:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            start.start_run(shop.parameters())


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]).returncode:
        pytest.skip("mounting a small disk takes the rights to do so")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def _remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def test_a_full_disk_publishes_nothing_and_the_next_run_goes_on(
    small: Shop, mounted: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shop = replace(small, store=str(mounted / "store"))
    assert "no space is left" in _fails(shop, capfd)
    assert not shop.live()
    assert not shop.table("runs")
    assert not list(mounted.rglob(".tmp-*")), "half a file would keep the disk full"
    _remount(mounted, "size=64m")
    shop.run()
    for name in ("images", "adapters", "rejections", "skus"):
        assert comparable(shop, name) == comparable(small, name), name
    assert_sound(shop)


def test_a_disk_that_is_read_only(finished: Shop, mounted: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _remount(mounted, "ro")
    assert "access denied" in _fails(replace(finished, store=str(mounted / "store")), capfd)


def test_a_file_where_the_store_should_be(finished: Shop, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").write_text("a file")
    line = _fails(replace(finished, store=str(tmp_path / "store")), capfd)
    assert str(tmp_path / "store") in line


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"catalog": "no-such.parquet"}, 2, "expected a Parquet file, found none"),
        ({"config": "no-such-preset"}, 2, "no such preset"),
        ({"model": "/no/such/model"}, 3, "diffusers pipeline folder"),
    ],
    ids=["catalog", "config", "model"],
)
def test_what_a_user_got_wrong_has_its_own_exit_code(
    finished: Shop, tmp_path: Path, capfd: pytest.CaptureFixture[str], change: dict, code: int, words: str
) -> None:
    shop = replace(finished, store=str(tmp_path / "store"), folder=tmp_path)
    if "model" in change:
        shop.model = Path(change["model"])
    _, _, _, verb, catalog, *_ = shop.command()
    config = change.get("config", str(tmp_path / "config.yaml"))
    line = [verb, change.get("catalog", catalog), "--store", shop.store, "--config", config, "--json"]
    capfd.readouterr()
    assert main(line) == code
    said = capfd.readouterr()
    assert json.loads(said.out)["exit_code"] == code
    assert words in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "store" / "tables").exists()
