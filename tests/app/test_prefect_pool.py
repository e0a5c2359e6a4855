"""A deployment on a Prefect work pool: the server and its database hold references, the flow's process alone the values."""

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bondstone.blocks import AwsCredentials, DockerRegistry, KubernetesCluster
from bondstone.cli.demo.hunt import hunt
from bondstone.cli.demo.prefect_home import prefect_home
from tests.example import example

work_pool = example("work_pool")
SECRETS = {
    "registry": "s3ntinel-Registry-9-of-a-pool",
    "cluster": "s3ntinel-Cluster-9-of-a-pool",
    "role": "wJalrXUtnFEMIK7MDENGbPxRfiCYs3ntinelKEY9",
}
VALUES = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/flows",
    "AWS_SECRET_ACCESS_KEY": SECRETS["role"],
    "KUBE_SERVER": "https://kube.example.org:6443",
    "KUBE_TOKEN": SECRETS["cluster"],
    "REGISTRY_PASSWORD": SECRETS["registry"],
    "REGISTRY_USER": "reader",
}
PRINTED = " ".join(["values 7", *(hashlib.sha256(value.encode()).hexdigest() for value in VALUES.values())])


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    """A folder with the flow of the example, whose blocks hold our secrets."""
    DockerRegistry(host="ghcr.io", username="reader", password=SECRETS["registry"]).save("ghcr")
    KubernetesCluster(server=VALUES["KUBE_SERVER"], token=SECRETS["cluster"]).save("lab")
    key = {"access_key_id": VALUES["AWS_ACCESS_KEY_ID"], "secret_access_key": SECRETS["role"]}
    AwsCredentials(**key, role_arn=VALUES["AWS_ROLE_ARN"]).save("ecs")
    folder = tmp_path / "flows"
    folder.mkdir()
    work_pool.write_flow(folder)
    return folder


def row(database: Path, table: str, name: str) -> str:
    """All that the server keeps of a thing of that name."""
    with closing(sqlite3.connect(database)) as connection:
        (found,) = connection.execute(f"SELECT * FROM {table} WHERE name = ?", [name])
    return str(found)


@pytest.mark.timeout(200)
def test_a_deployment_holds_the_reference_and_its_run_the_value(flows: Path, tmp_path: Path) -> None:
    """Nothing is resolved when it is deployed, nor by the worker; the run has the values, and no file of Prefect's ever does."""
    with prefect_home(tmp_path) as server:
        printed = work_pool.run_in_pool(flows)
        pool, deployment = (row(server / "prefect.db", *of) for of in (("work_pool", "lab"), ("deployment", "nightly")))

    assert printed == PRINTED
    assert not [reference for reference in work_pool.POOL.values() if reference not in pool]
    assert not [reference for reference in work_pool.DEPLOYMENT.values() if reference not in deployment]
    assert hunt(SECRETS, tmp_path) == []
    shown = {hit.where.split(",")[0] for hit in hunt({"reference": "bondstone://docker-registry/ghcr"}, server)}
    assert "prefect.db" in shown or "prefect.db-wal" in shown  # so that is where it would have been found


def test_the_same_without_prefect(flows: Path) -> None:
    """`bondstone run` fills the environment of the child alone."""
    assert work_pool.run_plain(flows) == PRINTED
    assert not set(SECRETS.values()) & set(os.environ.values())
