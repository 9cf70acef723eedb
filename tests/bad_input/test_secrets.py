"""What stands in the environment stays there: a run that succeeds and one that fails tell nobody."""

import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.flows.shop import Shop
from tests.models.tiny import build_tiny_sd
from tests.servers.prefect_home import PrefectHome

CANARY = "canary-b1946ac92492d2347c6235b4d2611184"
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_ACCOUNT_KEY", "SHOP_TOKEN")


def told(command: list[str], folder: Path, code: int, **more: str) -> str:
    """All that a command says, with a secret in its environment and a Prefect server of its own in `folder`."""
    own = {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_API_URL": ""}
    environment = {**os.environ, **own, **more, "OMP_NUM_THREADS": "1", **dict.fromkeys(SECRETS, CANARY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, start_new_session=True)
    assert done.returncode == code, done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """One product with a bad photo and one that is wholly bad, so that there are verdicts to write as well."""
    shop = Shop(tmp_path / "shop", build_tiny_sd(tmp_path / "model"), changes={"variants": {"limit_per_sku": 2}})
    shop.add("good", 0, photos=2)
    shop.add("bad", 1, photos=1)
    (shop.folder / "photos-1" / "0.png").write_bytes(b"<html>")
    shop.rows[0]["references"].append("/proc/self/environ")
    shop.rows[0]["masks"] = []
    return shop


def test_a_secret_in_the_environment_is_in_nothing_that_a_run_leaves(
    shop: Shop, tmp_path: Path, prefect_home: PrefectHome
) -> None:
    prefect_home(tmp_path / "prefect")
    said = told(shop.command(), tmp_path, 0)
    nowhere = shop.command()
    nowhere[nowhere.index("--store") + 1] = "s3://no-such-bucket/store"
    said += told(nowhere, tmp_path, 4, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert "127.0.0.1" in said or "s3://no-such-bucket" in said
    assert CANARY not in said
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in written if path.suffix == ".parquet" and "tables" in path.parts]
    assert [path for path in written if path.name.startswith("prefect.db")]
    assert [path for path in written if path.name == "gallery.html" or path.suffix == ".html"]
    assert not [path for path in written if CANARY in contents(path)]


def contents(path: Path) -> str:
    """What a file holds; a Parquet file's values, which its pages hold compressed."""
    if path.suffix == ".parquet":
        return str(pq.ParquetFile(path).read().to_pylist())
    return path.read_bytes().decode("latin-1")
