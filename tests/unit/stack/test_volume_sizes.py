from typing import Any

import pytest

from mlops_stack.settings import Settings, SettingsError
from mlops_stack.volume_sizes import refuse_smaller

PREFIX = "urn:pulumi:dev::mlops-platform::"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"


def claim(parents: str, size: str, **more: Any) -> dict[str, Any]:
    return {
        "type": CLAIM,
        "urn": f"{PREFIX}{parents}${CLAIM}::data",
        "inputs": {"spec": {"resources": {"requests": {"storage": size}}}},
        **more,
    }


STATE = [
    {"type": "mlops:infra:S3Gateway", "urn": f"{PREFIX}mlops:infra:S3Gateway::s3", "inputs": {}},
    claim("mlops:infra:S3Gateway", "10Gi"),
    claim("mlops:platform:Mlflow", "2Gi"),
    claim("mlops:platform:KubeflowPipelines$mlops:platform:MariaDb", "2Gi"),
    claim("mlops:workloads:Notebook", "2Gi"),
    claim("mlops:workloads:SomebodyElses", "900Gi"),
    claim("mlops:infra:S3Gateway", "90Gi", delete=True),
]


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


def test_sizes_that_stay_or_grow_are_fine() -> None:
    refuse_smaller(settings(), STATE)
    refuse_smaller(settings(objectStorageSize="10240Mi", mlflowStorageSize="3Gi"), STATE)
    refuse_smaller(settings(objectStorageSize="1Gi"), [])


@pytest.mark.parametrize(
    ("key", "wanted", "there"),
    [
        ("objectStorageSize", "9Gi", "10Gi"),
        ("mlflowStorageSize", "2G", "2Gi"),
        ("kubeflowStorageSize", "512Mi", "2Gi"),
        ("notebookStorageSize", "1Gi", "2Gi"),
    ],
)
def test_a_smaller_volume_is_refused_with_the_remedy(key: str, wanted: str, there: str) -> None:
    with pytest.raises(SettingsError, match=rf"{key} is {wanted}.*has {there}.*set {key} {there}"):
        refuse_smaller(settings(**{key: wanted}), STATE)
