"""The commands verify, gc, rollback and export, as they are typed."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest

from flows.commands.command_line import main
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables
from tests.crash.operated import CATALOG, CHANGED, flip, live, night
from tests.crash.watched import ClockedStore

WITHOUT_PREFECT = """
import json, sys
from flows.commands.command_line import main
for command in json.loads(sys.argv[1]):
    assert main(command) == 0, command
sys.exit(int("prefect" in sys.modules or "torch" in sys.modules))
"""


def _command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flows.commands.command_line", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ, check=False)


def test_the_command_verify_ends_with_4_on_a_flipped_byte(store: ClockedStore) -> None:
    night(store, CATALOG, "one")
    sound = _command("verify", "--store", store.url)
    assert (sound.returncode, sound.stdout) == (0, "6 live rows checked, 0 faults, 0 orphans\n")
    flipped = min(key for _, key in live(store))
    flip(store, flipped)
    broken = _command("verify", "--store", store.url, "--json")
    assert broken.returncode == 4, broken.stderr
    assert [fault["key"] for fault in json.loads(broken.stdout)["faults"]] == [flipped]


def test_no_command_loads_prefect_which_takes_seconds(store: ClockedStore, tmp_path: Path) -> None:
    night(store, CATALOG, "one")
    image = live(store).pop()[1]
    commands = [
        ["verify"],
        ["export", "tree", "--out", str(tmp_path / "tree")],
        ["review", "--approve", image],
        ["gc", "--dry-run"],
        ["rollback", str(Tables(store).version("images"))],
    ]
    asked = json.dumps([[*command, "--store", store.url] for command in commands])
    done = subprocess.run([sys.executable, "-c", WITHOUT_PREFECT, asked], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main([*arguments, "--json"])
    written = capsys.readouterr()
    answer = json.loads(written.out)
    if code:
        assert answer["exit_code"] == code
        assert written.err == f"packshot: {answer['error']}\n"
    return code, answer


def test_the_commands_gc_rollback_and_export_do_what_they_say(
    store: ClockedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night(store, CATALOG, "one")
    version = Tables(store).version("images")
    night(store, CHANGED, "two")
    first = {key for _, key in live(store)}
    at = ("--store", store.url)
    code, answer = _said(capsys, "gc", *at, "--dry-run", "--grace", "0s")
    assert (code, answer["deleted"]) == (0, False)
    assert answer["keys"]
    with patch("flows.commands.operator_commands.datetime", wraps=datetime) as clock:
        clock.now.return_value = datetime.now(UTC) + timedelta(days=30)
        assert _said(capsys, "gc", *at)[1]["keys"] == [], "the grace period is a week, by the store's clock"
    code, answer = _said(capsys, "rollback", *at)
    assert (code, [one["version"] for one in answer["versions"]]) == (0, [version + 1, version])
    assert [line.split()[3:] for line in answer["text"].splitlines()[1:3]] == [["4", "two"], ["4", "one"]]
    code, answer = _said(capsys, "rollback", str(version), *at)
    assert (code, answer["revived"], answer["retired"]) == (0, 2, 2)
    code, answer = _said(capsys, "export", "tree", *at, "--out", str(tmp_path / "tree"))
    assert (code, answer["images"]) == (0, 4)
    copied = {path.name: path.read_bytes() for path in (tmp_path / "tree").rglob("*.jpg")}
    assert copied == {key.rpartition("/")[2]: store.read(key) for _, key in live(store)}
    assert {key for _, key in live(store)} != first
    code, answer = _said(capsys, "rollback", "99", *at)
    assert code == 4
    assert "there is no version 99" in answer["error"]
    for grace in ("soon", "800000d", f"{'9' * 20}d"):
        code, answer = _said(capsys, "gc", *at, "--grace", grace)
        assert code == 2
        assert f"--grace is '{grace}'" in answer["error"]
    code, answer = _said(capsys, "export", "google", *at, "--out", str(tmp_path / "feed.tsv"))
    assert code == 2
    assert "--base-url" in answer["error"]


@pytest.mark.parametrize(
    "command",
    [
        ("gallery",),
        ("verify",),
        ("gc",),
        ("rollback", "0"),
        ("export", "tree", "--out", "out"),
        ("export", "google", "--out", "out"),
    ],
)
def test_a_store_where_no_run_has_published_is_no_sound_and_empty_store(
    memory: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    code, answer = _said(capsys, *command, "--store", str(memory / "typo"))
    assert code == 4
    assert f"{memory / 'typo'}: no run has published here; check --store" in answer["error"]
    assert not (memory / "typo").exists()


def test_gc_takes_what_a_first_night_left_that_was_killed(
    store: ClockedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write("runs/killed/config.json", b"{}")
    store.write("runs/killed/report/summary.json", b"{}")
    store.write("images/stray.jpg", b"x")
    assert _said(capsys, "gc", "--store", store.url, "--grace", "0s")[1]["keys"] == ["images/stray.jpg"]


def test_an_export_of_nothing_is_refused_and_a_channel_that_is_mistyped_is_told(
    store: ClockedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night(store, CATALOG, "one")
    feed = ("export", "google", "--store", store.url, "--out", str(tmp_path / "feed.tsv"), "--base-url", "https://x")
    code, answer = _said(capsys, *feed, "--channel", "wbe")
    assert code == 2
    assert "--channel: no channel 'wbe' (did you mean 'web'?)" in answer["error"]
    night(store, {}, "two")
    code, answer = _said(capsys, *feed)
    assert code == 4
    assert "no image is live" in answer["error"]
    assert not (tmp_path / "feed.tsv").exists()


def test_a_folder_is_emptied_once_nothing_is_approved_or_live(
    store: ClockedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night(store, CATALOG, "one")
    key, at = min(key for _, key in live(store)), ("--store", store.url, "--out", str(tmp_path / "tree"))
    assert main(["review", "--store", store.url, "--approve", key]) == 0
    capsys.readouterr()
    assert _said(capsys, "export", "tree", *at, "--approved")[1]["images"] == 1
    assert main(["review", "--store", store.url, "--reject", key]) == 0
    capsys.readouterr()
    code, answer = _said(capsys, "export", "tree", *at, "--approved")
    assert (code, answer["images"], answer["deleted"]) == (0, 0, 1)
    assert _said(capsys, "export", "tree", *at)[1]["images"] == len(live(store))
    night(store, {}, "two")
    assert _said(capsys, "export", "tree", *at)[0] == 0
    assert list((tmp_path / "tree").rglob("*.jpg")) == []
    assert _said(capsys, "export", "tree", "--store", store.url, "--out", str(tmp_path / "new"))[0] == 4


def test_an_export_keeps_channels_apart_and_stays_in_its_folder(
    store: ClockedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night(store, {"mug": 1, "../../vase": 1}, "one")
    web = Tables(store).live_images()
    etsy = [
        row | {name: f"{row[name]} etsy" for name in ("image_id", "slot")} | {"channel": "etsy"}
        for row in web.to_pylist()
    ]
    for row in etsy:
        row["key"] = row["key"].replace("/web/", "/etsy/")
        store.write(row["key"], b"etsy")
    Tables(store).merge("images", pa.Table.from_pylist(etsy, schema=web.schema), "etsy")
    assert main(["review", "--store", store.url, "--approve", etsy[0]["key"]]) == 0
    capsys.readouterr()
    for number, chosen in ((2 * len(etsy), []), (len(etsy), ["--channel", "etsy"]), (1, ["--approved"])):
        out = tmp_path / "deep" / "deeper" / str(number)
        assert _said(capsys, "export", "tree", "--store", store.url, "--out", str(out), *chosen)[1]["images"] == number
        assert len([path for path in out.rglob("*.jpg") if path.resolve().is_relative_to(out)]) == number


def test_an_export_that_cannot_be_written_is_named_and_leaves_what_was_there(
    store: ClockedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    night(store, CATALOG, "one")
    file = tmp_path / "feed.tsv"
    file.write_text("the feed of yesterday")
    at = ("--store", store.url, "--base-url", "https://x", "--out")
    for kind, out in (("google", tmp_path), ("google", Path()), ("tree", file), ("shopify", file / "feed.csv")):
        code, answer = _said(capsys, "export", kind, *at, str(out))
        assert code == 4
        assert answer["error"].startswith(f"{out}: cannot be written: ")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert _said(capsys, "export", "google", *at, str(file))[0] == 4
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()} == {
        "feed.tsv": "the feed of yesterday"
    }


def test_a_reader_that_leaves_early_is_no_bug(store: ClockedStore) -> None:
    night(store, CATALOG, "one")
    command = [sys.executable, "-m", "flows.commands.command_line", "verify", "--store", store.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert (process.wait(120), process.stderr.read()) == (0, "")


def test_an_answer_that_finds_no_room_is_told_and_no_success(store: ClockedStore) -> None:
    night(store, CATALOG, "one")
    command = [sys.executable, "-m", "flows.commands.command_line", "verify", "--store", store.url, "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        both = subprocess.run(command, stdout=full, stderr=full, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (2, "packshot: standard output: No space left on device\n")
    assert both.returncode == 2


def test_a_demo_in_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.servers.own_server.begin_server", lambda: lambda: None)
    (tmp_path / "file").write_text("")
    assert main(["demo", "--folder", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith(f"packshot: --folder {tmp_path / 'file'}: ")


def test_a_store_with_a_single_writer_is_rolled_back_as_its_runs_were_told(
    store: ClockedStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night(store, CATALOG, "one")
    store.delete(info.key for info in list(store.list("runs")))
    store.write("runs/20260101/config.json", b'{"store": {"single_writer": false}}')
    store.write("runs/20260102/config.json", b'{"store": {"single_writer": true}}')
    store.write("runs/rollback-20260103/config.json", b"{}")
    opened, asked = list[bool](), list[str]()
    begin, read = ObjectStore.__init__, ObjectStore.read

    def noted(self: ObjectStore, url: str, single_writer: bool = False) -> None:
        begin(self, url, single_writer)
        opened.append(single_writer)

    monkeypatch.setattr(ObjectStore, "__init__", noted)
    monkeypatch.setattr(ObjectStore, "read", lambda self, key: (asked.append(key), read(self, key))[1])
    assert _said(capsys, "rollback", str(Tables(store).version("images")), "--store", store.url)[0] == 0
    assert opened[-1]
    told = [key for key in asked if key.endswith("config.json")]
    assert told == ["runs/20260102/config.json"], "each command leaves a mark, and nobody removes them"
