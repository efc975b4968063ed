"""A lasting stack on AWS that holds data is not destroyed; moto stands in for AWS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import moto
import pulumi_aws as aws
import pytest
from botocore.exceptions import ClientError

from mlops_stack import aws_data
from mlops_stack.aws_data import AwsAccountError, AwsDataError

REGION = "eu-central-1"
BUCKET, REPOSITORY = "aws:s3/bucket:Bucket", "aws:ecr/repository:Repository"
DIGEST = f"sha256:{'0' * 64}"
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": {"mediaType": "application/json", "size": 1, "digest": DIGEST},
    "layers": [],
}
CLUSTER, DATABASE = "aws:eks/cluster:Cluster", "aws:rds/instance:Instance"


class LastingStack:
    name = "t"

    def __init__(self, *resources: dict[str, Any]) -> None:
        self._resources = list(resources)

    def resources(self) -> list[dict[str, Any]]:
        return self._resources

    def file(self) -> Path:
        return Path("Pulumi.t.yaml")


def kept(token: str, name: str, **inputs: Any) -> dict[str, Any]:
    return {"type": token, "id": name, "inputs": inputs}


def refuse(*resources: dict[str, Any]) -> None:
    stack: Any = LastingStack(*resources)
    aws_data.refuse(stack, REGION)


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with moto.mock_aws():
        yield


def client(service: str) -> Any:
    make: Any = boto3.client
    return make(service, region_name=REGION)


def bucket(name: str = "mlops-t-models") -> Any:
    s3 = client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return s3


def test_the_types_are_the_sdks() -> None:
    assert aws.s3.Bucket.pulumi_type == BUCKET
    assert aws.ecr.Repository.pulumi_type == REPOSITORY
    assert aws.eks.Cluster.pulumi_type == CLUSTER
    assert aws.rds.Instance.pulumi_type == DATABASE


def test_a_bucket_with_nothing_but_an_old_version_is_refused() -> None:
    s3 = bucket()
    resource = kept(BUCKET, "mlops-t-models")
    refuse(resource)
    s3.put_object(Bucket="mlops-t-models", Key="champion", Body=b"x")
    s3.delete_object(Bucket="mlops-t-models", Key="champion")
    with pytest.raises(AwsDataError, match=r"bucket mlops-t-models; nothing was.*Pulumi\.t\.yaml"):
        refuse(resource)
    refuse(kept(BUCKET, "mlops-t-models", forceDestroy=True))


def test_images_are_refused() -> None:
    ecr = client("ecr")
    ecr.create_repository(repositoryName="mlops-t/flights")
    resource = kept(REPOSITORY, "mlops-t/flights")
    refuse(resource)
    ecr.put_image(
        repositoryName="mlops-t/flights", imageManifest=json.dumps(MANIFEST), imageTag="1"
    )
    with pytest.raises(AwsDataError, match="images in repository mlops-t/flights"):
        refuse(resource)
    refuse({**resource, "inputs": {"forceDelete": True}})


def test_a_protected_database_is_refused_even_of_an_ephemeral_stack() -> None:
    client("rds").create_db_instance(
        DBInstanceIdentifier="mlops-t",
        DBInstanceClass="db.t4g.small",
        Engine="mysql",
        AllocatedStorage=20,
        MasterUsername="mlops",
        MasterUserPassword="not-so-secret",
        DeletionProtection=True,
    )
    with pytest.raises(AwsDataError, match="the protected database mlops-t"):
        refuse(kept(DATABASE, "db-ABC", identifier="mlops-t"))


def test_a_protected_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Moto keeps no protection of clusters, so the answer is one of AWS's documentation.
    class Eks:
        def describe_cluster(self, **_: str) -> dict[str, Any]:
            return {"cluster": {"name": "mlops-t", "deletionProtection": True}}

    monkeypatch.setattr(aws_data.Asked, "client", lambda _self, _service: Eks())
    with pytest.raises(AwsDataError, match="the protected cluster mlops-t"):
        refuse(kept(CLUSTER, "mlops-t"))


def test_volumes_of_claims_are_refused_in_a_lasting_stack() -> None:
    bucket()
    tags = {
        "mlops-platform/stack": "t",
        "kubernetes.io/created-for/pvc/name": "mlflow-data",
        "kubernetes.io/created-for/pvc/namespace": "mlflow",
    }
    client("ec2").create_volume(
        AvailabilityZone=f"{REGION}a",
        Size=1,
        TagSpecifications=[
            {
                "ResourceType": "volume",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    )
    with pytest.raises(AwsDataError, match="of claim mlflow/mlflow-data"):
        refuse(kept(BUCKET, "mlops-t-models"))
    refuse(kept(BUCKET, "mlops-t-models", forceDestroy=True))


def test_what_is_gone_already_holds_nothing() -> None:
    refuse(
        kept(BUCKET, "mlops-t-gone"),
        kept(REPOSITORY, "mlops-t/gone"),
        kept(CLUSTER, "mlops-t"),
        kept(DATABASE, "db-ABC", identifier="mlops-t"),
    )


def test_an_account_that_may_not_look_is_no_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def list_object_versions(self, **_: Any) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListObjectVersions")

    monkeypatch.setattr(aws_data.Asked, "client", lambda _self, _service: Refusing())
    with pytest.raises(AwsDataError, match=r"cannot be told.*AccessDenied"):
        refuse(kept(BUCKET, "mlops-t-models"))


@pytest.mark.parametrize(("account", "refused"), [("123456789012", False), ("210987654321", True)])
def test_the_credentials_of_another_account_are_refused(account: str, refused: bool) -> None:
    key = kept("aws:kms/key:Key", "k")
    key["outputs"] = {"arn": f"arn:aws:kms:{REGION}:{account}:key/k"}
    if not refused:
        refuse(key)
        return
    with pytest.raises(AwsAccountError, match=f"in AWS account {account}.*lead to 123456789012"):
        refuse(key)


def test_a_stack_elsewhere_is_not_asked() -> None:
    stack: Any = LastingStack(kept(BUCKET, "mlops-t-models"))
    aws_data.refuse(stack, None)
