"""What a fault of a store, a disk or a driver is told as, without a server."""

import asyncio
import errno
import gc
import subprocess
import sys
import uuid
from enum import Enum

import pytest

from catalog_schemas.errors import StoreDenied, StoreError, StoreFull, StoreNotFound, StoreUnreachable
from tasks.storage.faults import ObjectMissing, attempt, patient, translate
from tasks.storage.objects import open_store
from tests.servers.fixtures import CloudServer
from tests.storage.test_faults import one_line


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "x"), StoreFull),
        (OSError(errno.EDQUOT, "x"), StoreFull),
        (PermissionError(errno.EACCES, "x"), StoreDenied),
        (OSError(errno.EROFS, "x"), StoreDenied),
        (FileNotFoundError("x"), ObjectMissing),
        (NotADirectoryError(errno.ENOTDIR, "x"), ObjectMissing),
        (TimeoutError("x"), StoreUnreachable),
        (ConnectionResetError("x"), StoreUnreachable),
        (OSError(errno.EIO, "x"), StoreUnreachable),
        (OSError("Generic LocalFileSystem error: No space left on device (os error 28)"), StoreFull),
        (OSError("Generic S3 error: ... Client error with status 403 Forbidden: no body"), StoreDenied),
        (OSError("Generic S3 error: ... <Code>NoSuchBucket</Code>"), StoreNotFound),
        (OSError("Generic S3 error: Received redirect without LOCATION, this normally indicates …"), StoreDenied),
        (OSError("Generic S3 error: error sending request for url (http://…)"), StoreUnreachable),
        (ValueError("whatever"), StoreError),
        (OSError("Generic MicrosoftAzure error: ... <Code>ContainerNotFound</Code>"), StoreNotFound),
        (FileNotFoundError("images/Signature-mug/connect.png"), ObjectMissing),
        (ImportError("No module named 'gcsfs'"), StoreError),
    ],
)
def test_every_fault_has_its_name_and_keeps_its_text_to_itself(error: Exception, kind: type) -> None:
    fault = translate(error, "s3://bucket/key")
    assert type(fault) is kind
    assert str(fault).startswith("s3://bucket/key: ")
    assert str(error) not in one_line(fault) or str(error) == "x"


class _Code(Enum):
    """As Azure's client gives it."""

    BUSY = "ServerBusy"
    NONE = "ContainerNotFound"


class _Answered(Exception):
    """As drivers raise it: with a status, a server's reply, or its code."""

    def __init__(self, status: int = 0, code: str = "", error_code: _Code | None = None) -> None:
        self.status, self.error_code = status, error_code
        if code:
            self.response = {"Error": {"Code": code}}


@pytest.mark.parametrize(
    ("error", "kind", "shown"),
    [
        *((_Answered(status), StoreDenied, f"HTTP {status}") for status in (401, 403)),
        *((_Answered(status), StoreUnreachable, f"HTTP {status}") for status in (429, 500, 503)),
        (_Answered(507), StoreFull, "HTTP 507"),
        (_Answered(409), StoreError, "HTTP 409"),
        *(
            (_Answered(409, code), StoreUnreachable, code)
            for code in ("ConditionalRequestConflict", "OperationAborted")
        ),
        (_Answered(503, error_code=_Code.BUSY), StoreUnreachable, "ServerBusy"),
        (_Answered(404, error_code=_Code.NONE), StoreNotFound, "ContainerNotFound"),
        (_Answered(400, "my secret/\n" * 20), StoreError, "mysecret" * 8),
        *((OSError(f"Generic LocalFileSystem error (os error {no})"), StoreFull, "OSError") for no in (122, 27)),
        *((OSError(f"Generic GCS error: got {status} of it"), StoreUnreachable, "OSError") for status in (429, 502)),
        (OSError("Generic GCS error: got 401 of it"), StoreDenied, "OSError"),
        (OSError("Generic S3 error: ... <Code>ExpiredToken</Code>"), StoreDenied, "ExpiredToken"),
        (Exception("Generic S3 error: ... <Code>NoSuchBucket</Code>"), StoreNotFound, "Exception"),
        (OSError(errno.ENOTEMPTY, "images/Signature-of-NoSuchBucket"), StoreError, "Directory not empty"),
        (OSError(errno.EROFS, "x"), StoreDenied, "Read-only file system"),
    ],
)
def test_what_a_server_or_a_disk_answers_is_told_by_its_code(error: Exception, kind: type, shown: str) -> None:
    fault = translate(error, "s3://bucket/key")
    assert type(fault) is kind
    assert f"({shown})" in one_line(fault)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_where_a_server_has_answered_its_code_counts_and_not_the_number_that_a_driver_makes_of_it(number: int) -> None:
    error = OSError(number, "x")
    error.__cause__ = _Answered(400, "MalformedXML")
    fault = translate(error, "s3://bucket/key")
    assert (type(fault), "(MalformedXML)" in str(fault)) == (StoreError, True)


def test_who_waits_for_a_store_hears_for_how_long_it_has_been_asked() -> None:
    told: list[float] = []

    def wait(fault: StoreUnreachable, seconds: float) -> bool:
        told.append(seconds)
        return len(told) < 3

    def fail() -> None:
        raise ConnectionResetError

    with patient(wait), pytest.raises(StoreUnreachable):
        attempt(fail, "s3://b/k", (0.001,))
    assert len(told) == 3
    assert 0.0 < told[0] <= told[1] <= told[2] < 60.0


def test_only_a_passing_fault_is_tried_again() -> None:
    tries: list[type] = []

    def fail(kind: type[Exception]) -> None:
        tries.append(kind)
        raise kind

    for kind, expected in ((ConnectionResetError, 3), (PermissionError, 1), (FileNotFoundError, 1)):
        tries.clear()
        with pytest.raises(StoreError):
            attempt(lambda kind=kind: fail(kind), "s3://b/k", (0.001, 0.001))
        assert len(tries) == expected, kind


def test_a_bug_of_ours_is_no_fault_of_the_store() -> None:
    with pytest.raises(TypeError):
        attempt(lambda: len(5), "s3://b/k")  # type: ignore[arg-type]


def test_a_store_that_is_forgotten_where_a_loop_of_others_runs_ends_without_a_word(
    cloud: CloudServer, caplog: pytest.LogCaptureFixture
) -> None:
    """As under Prefect, whose event loop may run in the very thread in which garbage is collected."""
    store = open_store(cloud.make_bucket(f"forgotten-{uuid.uuid4().hex[:12]}"))
    store.write("a", b"a")

    async def forget() -> None:
        nonlocal store
        del store
        gc.collect()
        await asyncio.sleep(0.2)  # what the drivers have begun ends, well or not

    asyncio.run(forget())
    gc.collect()
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize(("scheme", "extra"), [("s3", "s3"), ("gs", "gcs"), ("abfs", "azure"), ("az", "azure")])
def test_a_driver_that_is_not_installed_is_named_as_the_extra_to_install(scheme: str, extra: str) -> None:
    """In a process of its own, whose imports fail as they do where the packages are not there."""
    script = (
        "import sys\n"
        "for name in ('s3fs', 'gcsfs', 'adlfs', 'azure'): sys.modules[name] = None\n"
        "from tasks.storage.objects import open_store\n"
        "from tasks.storage.catalogs import open_parquet\n"
        "for call in (open_store, open_parquet):\n"
        "    try: call(sys.argv[1])\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    said = subprocess.run([sys.executable, "-c", script, f"{scheme}://bucket/x"], capture_output=True, text=True)
    line = f"StoreError {scheme}://bucket/x: its driver is not installed; pip install 'packshot[{extra}]'"
    assert said.stdout.splitlines() == [line, line], said.stderr
