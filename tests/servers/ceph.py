"""Ceph's S3 gateway over a cluster of one: monitor, manager, an object store in memory, and radosgw.

Its If-None-Match, multipart uploads and listings are those of many shops' own clouds, and not moto's.
"""

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.moto import SECRET, USER, S3Server
from tests.servers.process import free_port, server_process

PROGRAMS = ("ceph-mon", "ceph-mgr", "ceph-osd", "radosgw")  # each is a package of that name
KEYS = {  # of each process: what it may do
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "mgr": "allow *", "osd": "allow *"},
    "mgr.0": {"mon": "allow profile mgr", "osd": "allow *"},
    "osd.0": {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"},
    "client.rgw": {"mon": "allow rwx", "osd": "allow rwx"},
}
CONFIG = """
[global]
fsid = {cluster}
mon host = v2:127.0.0.1:{monitor}
ms bind msgr1 = false
public network = 127.0.0.0/8
public addr = 127.0.0.1
keyring = {home}/keyring
run dir = {home}
admin socket = {home}/$name.asok
log file = {home}/$name.log
mon data = {home}/mon
mgr data = {home}/mgr
osd data = {home}/osd
rgw data = {home}/rgw
osd objectstore = memstore
memstore device bytes = 4294967296
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon data avail crit = 1
paxos propose interval = 0.01
paxos min wait = 0.01
rgw frontends = beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1
"""


@dataclass(frozen=True)
class CephServer(S3Server):
    """Where the gateway listens."""

    def make_bucket(self, name: str) -> str:
        """Creates a bucket and returns its URL; unlike moto it wants to know who asks."""
        import boto3

        client = boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=USER, aws_secret_access_key=SECRET, region_name=""
        )
        client.create_bucket(Bucket=name)
        return self.url(name)


@contextmanager
def ceph_server(home: Path) -> Iterator[CephServer]:
    """Runs the cluster for the length of the block; skips where Ceph is not installed."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        pytest.skip(f"CEPH IS NOT TESTED: {', '.join(missing)} not found; apt-get install {' '.join(PROGRAMS)}")
    cluster, disk, monitor, gateway = uuid.uuid4(), uuid.uuid4(), free_port(), free_port()
    for folder in ("mgr", "osd", "rgw"):
        (home / folder).mkdir(parents=True)
    (home / "ceph.conf").write_text(CONFIG.format(cluster=cluster, monitor=monitor, gateway=gateway, home=home))
    for number, (name, rights) in enumerate(KEYS.items()):
        new = [] if number else ["--create-keyring"]
        caps = [word for of, right in rights.items() for word in ("--cap", of, right)]
        _do(home, "ceph-authtool", "keyring", *new, "--gen-key", "-n", name, *caps)
    address = f"[v2:127.0.0.1:{monitor}]"
    _do(home, "monmaptool", "--create", "--addv", "0", address, "--fsid", str(cluster), "monmap")
    _do(home, "ceph-mon", "--mkfs", "-i", "0", "--monmap", "monmap")
    with ExitStack() as running:

        def run(*command: str, answers: str = "") -> None:
            line = [command[0], "--conf", str(home / "ceph.conf"), "-f", *command[1:]]
            running.enter_context(server_process(line, home, answers, log=f"{command[0]}.out"))

        run("ceph-mon", "-i", "0")
        _do(home, "ceph", "osd", "new", str(disk))  # waits for the monitor
        run("ceph-mgr", "-i", "0")
        _do(home, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", str(disk))
        run("ceph-osd", "-i", "0")
        keys = ("--access-key", USER, "--secret-key", SECRET)
        _do(home, "radosgw-admin", "user", "create", "--uid", "tests", "--display-name", "tests", *keys)
        server = CephServer(f"http://127.0.0.1:{gateway}")
        run("radosgw", "-n", "client.rgw", answers=server.endpoint)
        yield server


def _do(home: Path, program: str, *arguments: str) -> None:
    own = [] if program in ("ceph-authtool", "monmaptool") else ["--conf", str(home / "ceph.conf")]
    done = subprocess.run([program, *own, *arguments], cwd=home, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{program}: {done.stderr.strip()[-2000:]}")
