"""What the stand-in of the aws plugin refuses, by the SDK's own types."""

import pytest

from mlops_aws_standin import sdk_types
from mlops_aws_standin.kinds import KINDS

BUCKET = "aws:s3/bucket:Bucket"


def _reasons(token: str, inputs: dict[str, object]) -> list[str]:
    return [reason for _, reason in sdk_types.problems(token, inputs)]


@pytest.mark.parametrize("token", sorted(KINDS))
def test_every_type_of_the_stand_in_is_one_of_the_sdks(token: str) -> None:
    assert sdk_types.arguments(token).__name__.endswith("Args")


def test_good_inputs_have_no_problem() -> None:
    inputs = {"bucketPrefix": "a-", "forceDestroy": True, "tags": {"a": "b"}}
    assert _reasons(BUCKET, inputs) == []


def test_an_unknown_property_names_those_there_are() -> None:
    (reason,) = _reasons(BUCKET, {"versionning": {}})
    assert "no property 'versionning'" in reason
    assert "versioning" in reason


def test_a_required_property_is_missed() -> None:
    (reason,) = _reasons("aws:ec2/subnet:Subnet", {"cidrBlock": "10.0.0.0/20"})
    assert reason == "vpcId is required by SubnetArgs"


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"forceDestroy": "yes"}, "forceDestroy needs a bool, not str"),
        ({"tags": ["a"]}, "tags needs a map, not list"),
        ({"tags": {"a": 1}}, "tags.a needs a str, not int"),
        ({"lifecycleRules": {}}, "lifecycleRules needs a list, not dict"),
    ],
)
def test_a_wrong_type_is_refused(inputs: dict[str, object], words: str) -> None:
    assert _reasons(BUCKET, inputs) == [words]


def test_nested_objects_are_checked() -> None:
    token = "aws:s3/bucketVersioning:BucketVersioning"
    inputs = {"bucket": "b", "versioningConfiguration": {"state": "Enabled"}}
    reasons = _reasons(token, inputs)
    assert any("no property 'state'" in reason for reason in reasons)
    assert any("versioningConfiguration.status is required" in reason for reason in reasons)


@pytest.mark.parametrize("token", ["aws:s3/bucket:Buckett", "kubernetes:core/v1:Pod", "aws:x/y:Z"])
def test_an_unknown_type_is_refused(token: str) -> None:
    with pytest.raises(sdk_types.UnknownTypeError, match=token):
        sdk_types.arguments(token)
