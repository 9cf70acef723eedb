"""The job template that work pools on Kubernetes are created with."""

import json
import re
from pathlib import Path

import infra

TEMPLATE = json.loads((Path(infra.__file__).parent / "prefect" / "kubernetes.json").read_text())


def test_every_variable_has_its_place_and_every_place_its_variable() -> None:
    places = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(TEMPLATE["job_configuration"])))
    assert places == set(TEMPLATE["variables"]["properties"])


def test_volumes_that_are_mounted_are_there() -> None:
    pod = TEMPLATE["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    cache = TEMPLATE["variables"]["properties"]["cache_volume"]["default"]
    volumes = [cache if isinstance(volume, str) else volume for volume in pod["volumes"]]
    mounts = pod["containers"][0]["volumeMounts"]
    assert [volume["name"] for volume in volumes] == [mount["name"] for mount in mounts]
