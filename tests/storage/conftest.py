import uuid
from pathlib import Path

import pytest

from tasks.storage.objects import ObjectStore, open_store
from tests.servers.fixtures import CLOUDS

SLOW_TO_START = ("ceph", "azure")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs all that needs such a server, so that one starts."""
    for item in items:
        if Path(item.path).parent == Path(__file__).parent and hasattr(item, "callspec"):
            for value in item.callspec.params.values():
                if isinstance(value, str) and value in SLOW_TO_START:
                    item.add_marker(pytest.mark.xdist_group(value))


@pytest.fixture(params=["file", *CLOUDS])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "store")
    return request.getfixturevalue(request.param).make_bucket(f"store-{uuid.uuid4().hex[:12]}") + "/shop"


@pytest.fixture
def store(store_url: str) -> ObjectStore:
    return open_store(store_url)
