import errno
import os
import pickle
import stat
import unicodedata
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_schemas.errors import CatalogError, Rejected, StoreNotFound, StoreUnreachable
from catalog_schemas.rejection import Reason
from configs.schema import CatalogConfig
from tasks.storage.objects import open_store
from tasks.storage.sources import Seen, Sources
from tests.servers.fixtures import CloudServer, use
from tests.servers.process import free_port

OPEN = CatalogConfig()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A catalog folder with photos, and secrets outside of it."""
    shop = tmp_path / "shop"
    (shop / "photos/mug").mkdir(parents=True)
    for name in ("b.JPG", "a.png", "c.webp", "d.jpeg", "notes.txt", ".tmp-x"):
        (shop / "photos/mug" / name).write_bytes(name.encode())
    (shop / "photos/mug/deeper").mkdir()
    (tmp_path / "shop-secrets").mkdir()
    (tmp_path / "shop-secrets/key.png").write_bytes(b"secret")
    (shop / "catalog.parquet").write_bytes(b"")
    return shop


@pytest.fixture
def sources(shop: Path) -> Sources:
    return Sources(str(shop / "catalog.parquet"), OPEN)


def refused(call, *args) -> Reason:
    with pytest.raises(Rejected) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return caught.value.reason


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here opens and cannot be read")
def test_a_disk_that_fails_while_a_photo_is_read_is_named() -> None:
    sources = Sources("/proc/self/catalog.parquet", OPEN)
    with pytest.raises(StoreUnreachable, match=r"^/proc/\d+/mem: .*Input/output error"):
        sources.read("mem", 1000)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no file here says that it is empty and is not")
def test_a_photo_that_is_larger_than_its_disk_says_is_too_large() -> None:
    assert refused(Sources("/proc/self/catalog.parquet", OPEN).read, "status", 10) == Reason.REFERENCE_TOO_LARGE


def test_references_are_relative_to_the_catalog_file(shop: Path, sources: Sources) -> None:
    expected = str(shop / "photos/mug/a.png")
    for text in ("photos/mug/a.png", "./photos/../photos/mug/a.png", expected, f"file://{expected}"):
        assert sources.resolve(text) == expected
    assert Sources(str(shop), OPEN).resolve("photos") == str(shop / "photos")
    assert Sources(f"file://{shop}/catalog.parquet", OPEN).resolve("photos") == str(shop / "photos")


@pytest.mark.parametrize("uri", ["https://shop.example/catalog.parquet", "ftp://shop.example/catalog.parquet"])
def test_a_catalog_does_not_lie_on_the_web(uri: str) -> None:
    with pytest.raises(CatalogError, match="another kind of URL"):
        Sources(uri, OPEN)


FORBIDDEN = [
    "file:///etc/passwd",
    "/etc/passwd",
    "../../etc/passwd",
    "..",
    "photos/../../shop-secrets/key.png",
    "../shop-secrets/key.png",
    "simplecache::file:///etc/passwd",
    "filecache::s3://bucket/x",
    "reference://x",
    "zip://a.png::file:///tmp/x.zip",
    "http://169.254.169.254/latest/meta-data",
    "https://shop.example/a.png",
    "HTTPS://shop.example/a.png",
    "ftp://host/a.png",
    "sftp://host/a.png",
    "github://org:repo@/a.png",
    "memory://a.png",
    "data://a.png",
    "s3://other-bucket/a.png",
    "gs://other/a.png",
    "abfs://other/a.png",
    "az://other/a.png",
    "file://host/share/a.png",
    "file://../a.png",
    "s3://",
    "s3:///a.png",
    "photos/a\x00.png",
    "photos/a\n.png",
]


@pytest.mark.parametrize("reference", FORBIDDEN)
def test_what_the_configuration_does_not_allow_is_forbidden(sources: Sources, reference: str) -> None:
    for call in (
        sources.resolve,
        lambda text: sources.expand([text]),
        lambda text: sources.read(text, 10),
        sources.stamp,
    ):
        assert refused(call, reference) == Reason.REFERENCE_FORBIDDEN


@pytest.mark.parametrize(
    "reference", ["file:/etc/passwd", "file:etc", "~/.ssh/id_rsa", "$HOME/x", "data:image/png;base64,xx", "x" * 5000]
)
def test_what_only_looks_like_a_url_is_a_file_name_of_the_catalogs_folder(sources: Sources, reference: str) -> None:
    assert refused(sources.read, reference, 10) == Reason.REFERENCE_MISSING


def test_a_link_out_of_the_folder_is_forbidden(shop: Path, sources: Sources) -> None:
    (shop / "photos/out.png").symlink_to("../../shop-secrets/key.png")
    (shop / "photos/outside").symlink_to("../../shop-secrets")
    (shop / "photos/loop.png").symlink_to("loop.png")
    for text in ("photos/out.png", "photos/outside/key.png", "photos/outside"):
        assert refused(sources.resolve, text) == Reason.REFERENCE_FORBIDDEN
    assert refused(sources.read, "photos/loop.png", 10) == Reason.REFERENCE_MISSING
    photos = sources.expand(["photos"])
    assert refused(sources.read, photos[1], 10) == Reason.REFERENCE_FORBIDDEN, "each photo of a folder is judged alone"
    (shop / "photos/in.png").symlink_to("mug/a.png")
    assert sources.read("photos/in.png", 10) == b"a.png"


def test_a_link_that_is_put_there_after_a_look_is_not_followed(shop: Path, sources: Sources) -> None:
    (shop / "photos/link.png").symlink_to("../../shop-secrets/key.png")
    with patch.object(Sources, "resolve", lambda _, uri: uri):
        assert refused(sources.read, str(shop / "photos/link.png"), 10) == Reason.REFERENCE_MISSING


def test_a_folder_that_may_not_be_listed_or_has_gone_is_left_to_whoever_reads_it(shop: Path, sources: Sources) -> None:
    for fault in (PermissionError(errno.EACCES, "no"), FileNotFoundError(errno.ENOENT, "gone")):
        with patch("os.listdir", side_effect=fault):
            assert sources.expand(["photos/mug"]) == [str(shop / "photos/mug")]


def test_a_photo_that_may_not_be_read_costs_itself_alone(sources: Sources) -> None:
    with patch("os.open", side_effect=PermissionError(errno.EACCES, "no")):
        assert refused(sources.read, "photos/mug/a.png", 10) == Reason.REFERENCE_MISSING


def test_a_name_that_no_table_can_hold_is_told_as_one_to_change(shop: Path, sources: Sources) -> None:
    (Path(os.fsdecode(bytes(shop / "photos/mug/deeper") + b"/\xff.png"))).write_bytes(b"1")
    [photo] = sources.expand(["photos/mug/deeper"])
    assert photo.endswith("/\ufffd.png")
    with pytest.raises(Rejected, match="its name holds bytes that are no UTF-8, so rename it"):
        sources.read(photo, 10)
    with pytest.raises(Rejected, match="No such file"):
        sources.read("photos/mug/gone.png", 10)


def test_what_runs_before_have_found_travels_along(sources: Sources) -> None:
    sources.seen = {"https://shop.example/a.jpg": Seen("stamp", "content")}
    assert pickle.loads(pickle.dumps(sources)).seen == sources.seen


@given(st.text(max_size=40))
def test_nothing_resolves_to_the_outside(text: str) -> None:
    base = "/srv/shop"
    sources = Sources(f"{base}/", CatalogConfig(reference_prefixes=("s3://photos/brand",)))
    for reference in (
        text,
        f"../{text}",
        f"/{text}",
        f"s3://photos/brand/{text}",
        f"s3://photos/{text}",
        f"file:///{text}",
    ):
        try:
            uri = sources.resolve(reference)
        except Rejected:
            continue
        assert uri == base or uri.startswith((base + "/", "s3://photos/brand/")) or uri == "s3://photos/brand"
        assert ".." not in uri.split("/")


def test_configured_prefixes_are_allowed_and_end_at_a_slash(shop: Path) -> None:
    prefixes = (str(shop.parent / "shop-secrets"), "s3://photos/brand/")
    sources = Sources(str(shop / "catalog.parquet"), CatalogConfig(reference_prefixes=prefixes))
    assert sources.read(str(shop.parent / "shop-secrets/key.png"), 10) == b"secret"
    assert sources.resolve("s3://photos/brand/x/../y.png") == "s3://photos/brand/y.png"
    for text in (
        "s3://photos/brandy/x.png",
        "s3://photos/brand/../x.png",
        "s3://photos/x",
        str(shop.parent / "shop-s"),
    ):
        assert refused(sources.resolve, text) == Reason.REFERENCE_FORBIDDEN


def test_a_folder_stands_for_its_photos_in_order(shop: Path, sources: Sources) -> None:
    names = [str(shop / "photos/mug" / name) for name in ("a.png", "b.JPG", "c.webp", "d.jpeg")]
    assert sources.expand(["photos/mug"]) == names
    assert sources.expand(["photos/mug/"]) == names
    assert sources.expand(("photos/mug/a.png", " ", "", "photos/mug/gone.png")) == [
        names[0],
        str(shop / "photos/mug/gone.png"),
    ]
    assert sources.expand([]) == []
    assert sources.expand(["photos/mug/deeper"]) == []


def test_a_folder_names_what_stands_for_no_photo_beside_it_after_the_others_and_no_hidden_files(shop, sources) -> None:
    listed = ("a.heic", "._b.JPG", "IMG_1.HEIC", "scan.tiff", "e.jfif", "IMG_1.MOV", "x.HIF", "b.bmp", "old.gif")
    for name in (*listed, "IMG_2.heic", "IMG_2.avif", "IMG_2.gif", "A.HEIF"):
        (shop / "photos/mug" / name).write_bytes(name.encode())
    names = [Path(photo).name for photo in sources.expand(["photos/mug"])]
    assert names[:5] == ["a.png", "b.JPG", "c.webp", "d.jpeg", "e.jfif"], "a.heic is a.png, b.bmp is b.JPG"
    assert names[5:] == ["IMG_1.HEIC", "IMG_2.avif", "old.gif", "scan.tiff", "x.HIF"]


def test_a_photo_is_read_up_to_the_limit(shop: Path, sources: Sources) -> None:
    assert sources.read("photos/mug/a.png", 5) == b"a.png"
    assert refused(sources.read, "photos/mug/a.png", 4) == Reason.REFERENCE_TOO_LARGE
    assert refused(sources.read, "photos/mug/gone.png", 4) == Reason.REFERENCE_MISSING
    assert refused(sources.read, "photos/mug", 4) == Reason.REFERENCE_MISSING
    assert refused(sources.read, "photos/mug/a.png/b.png", 4) == Reason.REFERENCE_MISSING


@pytest.mark.parametrize(
    ("there", "listed", "said"),
    [
        ("b.JPG", "b.jpg", "there is b.JPG"),
        ("a.png", "a.PNG", "there is a.png"),
        (unicodedata.normalize("NFD", "größe.jpg"), "größe.jpg", "there is one with its accents written otherwise"),
        ("größe.jpg", unicodedata.normalize("NFD", "größe.jpg"), "there is one with its accents written otherwise"),
        ("a.png", "c.png", "No such file or directory"),
    ],
)
def test_who_misses_a_photo_is_told_of_one_that_is_written_otherwise(
    shop: Path, sources: Sources, there: str, listed: str, said: str
) -> None:
    (shop / "photos/mug" / there).write_bytes(b"photo")
    with pytest.raises(Rejected, match=rf"found none \({said}"):
        sources.read(f"photos/mug/{listed}", 10)


def test_a_pipe_or_a_socket_is_no_photo_and_does_not_hang(shop: Path, sources: Sources) -> None:
    os.mkfifo(shop / "photos/pipe.png")
    os.mknod(shop / "photos/socket.png", stat.S_IFSOCK | 0o600)
    for name in ("pipe", "socket"):
        assert refused(sources.read, f"photos/{name}.png", 4) == Reason.REFERENCE_MISSING


def test_the_stamp_changes_with_the_bytes(shop: Path, sources: Sources) -> None:
    before = sources.stamp("photos/mug/a.png")
    assert sources.stamp("photos/mug/a.png") == before
    (shop / "photos/mug/a.png").write_bytes(b"b.png")
    assert sources.stamp("photos/mug/a.png") != before
    assert refused(sources.stamp, "photos/mug/gone.png") == Reason.REFERENCE_MISSING


def test_the_stamp_changes_with_another_file_in_its_place_however_alike_the_two(shop: Path, sources: Sources) -> None:
    file, other = shop / "photos/mug/a.png", shop / "photos/other.png"
    other.write_bytes(b"b.png")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    before = sources.stamp("photos/mug/a.png")
    other.replace(file)
    assert sources.stamp("photos/mug/a.png") != before


def test_a_catalog_in_a_bucket_points_into_its_folder_of_the_bucket(cloud: CloudServer) -> None:
    bucket = cloud.make_bucket("catalogs")
    store = open_store(bucket)
    for name in ("b.JPG", "a.png", "notes.txt", "deeper/c.png", "folder.png/c.png"):
        store.write(f"shop/photos/mug/{name}", name.encode())
    store.write("shop/empty.png", b"")
    store.write("other/secret.png", b"secret")
    sources = pickle.loads(pickle.dumps(Sources(f"{bucket}/shop/catalog.parquet", OPEN)))
    mug = f"{bucket}/shop/photos/mug"
    assert sources.expand(["photos/mug", f"{mug}/", "photos/mug/a.png"]) == [f"{mug}/a.png", f"{mug}/b.JPG"] * 2 + [
        f"{mug}/a.png"
    ]
    assert sources.read("photos/mug/a.png", 5) == b"a.png"
    assert sources.read("empty.png", 5) == b""
    assert refused(sources.read, "photos/mug/a.png", 4) == Reason.REFERENCE_TOO_LARGE
    assert refused(sources.read, "photos/gone.png", 4) == Reason.REFERENCE_MISSING
    assert refused(sources.read, "photos/mug", 4) == Reason.REFERENCE_MISSING
    assert sources.expand(["photos/mug/notes.txt"]) == [f"{mug}/notes.txt"], "whatever it is called"
    assert sources.expand(["photos/none"]) == [f"{bucket}/shop/photos/none"]
    before = sources.stamp("photos/mug/a.png")
    assert sources.stamp("photos/mug/a.png") == before
    store.write("shop/photos/mug/a.png", b"b.png")
    assert sources.stamp("photos/mug/a.png") != before
    for text in (
        "../other/secret.png",
        f"{bucket}/other/secret.png",
        "/etc/passwd",
        "file:///etc/passwd",
        "a.png?versionId=1",
    ):
        assert refused(sources.read, text, 10) == Reason.REFERENCE_FORBIDDEN


def test_a_forked_process_makes_connections_of_its_own() -> None:
    sources = Sources("s3://shop/catalog.parquet", OPEN)
    with patch("tasks.storage.sources.filesystem", side_effect=lambda _: Drives()) as made:
        for _ in range(2):
            assert sources.stamp("a.png") == "1-v"
        assert made.call_count == 1
        with patch("os.getpid", return_value=-2):
            assert sources.stamp("a.png") == "1-v"
        assert made.call_count == 2


class Drives:
    """A driver, as far as a look at one object needs it."""

    def info(self, uri: str) -> dict[str, object]:
        return {"type": "file", "size": 1, "ETag": '"v"'}


def test_a_storage_that_fails_is_not_a_missing_photo(cloud: CloudServer, monkeypatch) -> None:
    catalog = cloud.url("no-such-bucket") + "/catalog.parquet"
    sources = Sources(catalog, OPEN)
    for call in (lambda: sources.read("a.png", 10), lambda: sources.stamp("a.png"), lambda: sources.expand(["photos"])):
        with pytest.raises(StoreNotFound):
            call()
    use(cloud.at(f"http://127.0.0.1:{free_port()}"), monkeypatch)
    with pytest.raises(StoreUnreachable):
        Sources(catalog, OPEN).read("a.png", 10)


def test_az_and_abfs_are_one_place() -> None:
    sources = Sources("az://shop/catalog.parquet", CatalogConfig(reference_prefixes=("abfs://photos/brand",)))
    assert sources.resolve("a.png") == sources.resolve("abfs://shop/a.png") == "abfs://shop/a.png"
    assert sources.resolve("az://photos/brand/x.png") == "abfs://photos/brand/x.png"
