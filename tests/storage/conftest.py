import uuid
from pathlib import Path

import pytest

from tasks.storage.objects import ObjectStore, open_store
from tests.servers.fixtures import CLOUDS


@pytest.fixture(params=["file", *CLOUDS])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "store")
    return request.getfixturevalue(request.param).make_bucket(f"store-{uuid.uuid4().hex[:12]}") + "/shop"


@pytest.fixture
def store(store_url: str) -> ObjectStore:
    return open_store(store_url)
