"""The stack's settings: the only code that reads Pulumi configuration.

The keys in Pulumi.yaml, by which `pulumi config` and `pulumi preview` check types, are written from
here by `make settings`; this module checks everything else before a resource is registered.
"""

import datetime
import ipaddress
import re
from typing import Annotated, Literal, Self

import pulumi
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from flight_pipeline.compile import COMPILED
from flight_pipeline.settings import IMAGE
from mlops_infra.node.addons import STORAGE_CLASS

PROJECT = "mlops-platform"

# What the make commands tell the program, beside what the stack's file configures.
COMMAND_KEYS = frozenset({"stackId", "formerStackId", "clusterIdentifier", "replace", "without"})
# Keys of release 0.1.0 for what `components` says now.
_FORMER_SWITCHES = ("kubeflow_ui", "serving_engines", "training_operator", "notebooks")

_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T|m)?")
_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
# RFC 1918; `is_private` counts loopback and reserved networks too.
_PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_EKS_ADDONS = (
    *("vpc-cni", "kube-proxy", "coredns"),
    *("eks-pod-identity-agent", "aws-ebs-csi-driver"),
)
# What a stack may have or not, by the words of the setting `components`; the rest it always has.
COMPONENTS = ("kubeflow-ui", "kserve", "seldon", "training-operator", "notebooks")
_NO_COMPONENTS = "none"
_STACK_NAME_LENGTH = 40
_CRON_FIELDS = 6
_LAST_MONTH_WITH_SUCCESSOR = 11


class SettingsError(pulumi.RunError):
    """The stack's configuration is wrong; the message names each key and the remedy."""


def _quantity(text: str) -> str:
    if not _QUANTITY.fullmatch(text):
        raise ValueError("not a Kubernetes quantity; write for example 512Mi, 10Gi or 200m")
    return text


def _network(text: str) -> str:
    if text == "auto":
        return text
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{error}; write auto or for example 10.210.0.0/16") from error
    private = any(network.subnet_of(whole) for whole in _PRIVATE)
    if not private or not 16 <= network.prefixlen <= 20:
        raise ValueError("needs a private network of /16 to /20, for example 10.210.0.0/16")
    return str(network)  # one spelling: a netmask would look like another network


def _months(text: str) -> str:
    match = re.fullmatch(r"([0-9]{1,2})(?:-([0-9]{1,2}))?", text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= _LAST_MONTH_WITH_SUCCESSOR:
        raise ValueError(
            "needs a month or a range between 1 and 11, for example 3 or 1-3; the month after "
            "the last one evaluates the model, so 12 cannot be trained on"
        )
    return text


def _schedule(text: str) -> str:
    if text and len(text.split()) != _CRON_FIELDS:
        raise ValueError(
            "needs six fields, seconds first, for example 0 0 3 * * * for three o'clock every "
            "night; leave it empty for no schedule"
        )
    return text


def _components(text: str) -> str:
    if text == _NO_COMPONENTS:
        return text
    for item in items(text):
        if item not in COMPONENTS:
            raise ValueError(f"no component {item!r}; there are {', '.join(COMPONENTS)}, or none")
    return text


def items(text: str) -> tuple[str, ...]:
    """Return what a setting lists, separated by commas."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _cidrs(text: str) -> str:
    for item in items(text):
        try:
            network = ipaddress.IPv4Network(item)
        except ValueError as error:
            raise ValueError(f"{error}; write for example 203.0.113.0/24") from error
        if network.prefixlen == 0:
            raise ValueError(
                "0.0.0.0/0 opens the Kubernetes API to the internet; name your own networks, or "
                "none to reach it from the VPC alone"
            )
    return text


def addon_versions(text: str) -> dict[str, str]:
    """Return the versions of EKS add-ons that a setting pins, as `coredns=v1.12.1-eksbuild.2`."""
    pairs = (item.partition("=") for item in items(text))
    return {name.strip(): version.strip() for name, _, version in pairs}


def _addon_versions(text: str) -> str:
    for name, version in addon_versions(text).items():
        if name not in _EKS_ADDONS:
            raise ValueError(f"no add-on {name!r}; there are {', '.join(_EKS_ADDONS)}")
        if not re.fullmatch(r"v[0-9]+(\.[0-9]+){2}-eksbuild\.[0-9]+", version):
            raise ValueError(
                f"{version!r} is no version of an add-on; write for example "
                f"{name}=v1.12.1-eksbuild.2 (`aws eks describe-addon-versions` lists them)"
            )
    return text


def _roles(text: str) -> str:
    for item in items(text):
        if not re.fullmatch(r"arn:aws:iam::[0-9]{12}:(role|user)/.+", item):
            raise ValueError(
                f"{item!r} is no role's ARN; write for example arn:aws:iam::123456789012:role/admin"
            )
    return text


def _expiry(text: str) -> str:
    if text == "never":
        return text
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ValueError("needs a day, for example 2030-01-31, or never") from error


def _share(text: str) -> str:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise ValueError("needs a share from 0 to 1, for example 0.1 for every tenth")
    return text


AUTO_VERSION = "auto"

Quantity = Annotated[str, AfterValidator(_quantity)]


class Settings(BaseModel):
    """What differs between stacks. Field names are the configuration keys in snake case."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )

    cluster_provider: Literal["embedded", "kind", "existing", "eks"] = Field(
        "embedded", description="Who runs Kubernetes (embedded, kind, existing or eks)"
    )
    kubernetes_version: str = Field(
        AUTO_VERSION,
        pattern=r"^(auto|1\.[0-9]+\.[0-9]+)$",
        description=(
            "Kubernetes version, as 1.37.2; auto keeps the one that the cluster has (the "
            "toolchain's, if it is new)"
        ),
    )
    cluster_network: Annotated[str, AfterValidator(_network)] = Field(
        "auto",
        description="Network of an embedded cluster, /16 to /20, or auto for the first free one",
    )
    cluster_reserved_memory: Quantity = Field(
        "512Mi", description="Memory of the machine that pods of an embedded cluster leave free"
    )
    cluster_reserved_cpu: Quantity = Field(
        "200m", description="CPU of the machine that pods of an embedded cluster leave free"
    )
    kubeconfig: str = Field("", description="Kubeconfig file of an existing cluster")
    kube_context: str = Field(
        "", description="Context in that kubeconfig; its current one when empty"
    )
    node_address: str = Field(
        "", description="Address at which an existing cluster's NodePorts are reached"
    )
    storage_class: str = Field(
        "", description="StorageClass of the volumes; the cluster's default when empty"
    )
    image_registry: str = Field(
        "", description="Registry that holds the project's images for an existing cluster"
    )
    ephemeral: bool = Field(
        False, description="Whether destroying the stack may delete buckets that hold data"
    )
    keep: Literal["none", "models", "all"] = Field(
        "none",
        description="What make down and make reap export before they destroy (none, models or all)",
    )
    object_storage_size: Quantity = Field("10Gi", description="Volume of the S3 gateway")
    artifact_expiry_days: int = Field(
        0,
        ge=0,
        description=(
            "Days after which artifacts of runs and steps and logged predictions expire; "
            "registered models stay; 0 keeps all"
        ),
    )
    mlflow_storage_size: Quantity = Field("2Gi", description="Volume of MLflow's database")
    kubeflow_storage_size: Quantity = Field(
        "2Gi", description="Volume of Kubeflow Pipelines' database"
    )
    components: Annotated[str, AfterValidator(_components)] = Field(
        "",
        description=(
            "What the stack has of kubeflow-ui, kserve, seldon, training-operator and "
            "notebooks, separated by commas; none for none of them"
        ),
    )
    kubeflow_ui: bool = Field(
        True,
        description=(
            "Whether Kubeflow's UI is there, where components is not said (valid for this release)"
        ),
    )
    training_months: Annotated[str, AfterValidator(_months)] = Field(
        "1-3", description="Months of 2013 to train on; the month after the last one evaluates"
    )
    pipeline_schedule: Annotated[str, AfterValidator(_schedule)] = Field(
        "",
        description="When the pipeline runs by itself, as cron with seconds first; empty for never",
    )
    pipeline_run: bool = Field(
        True, description="Whether an update runs a new or changed pipeline and waits for it"
    )
    # The policy pack reads these three itself: it runs beside the program, not in it.
    policies: Literal["mandatory", "advisory"] = Field(
        "mandatory", description="Whether a violated policy stops a preview (mandatory or advisory)"
    )
    advisory_policies: str = Field(
        "", description="Names of policies that only advise, separated by commas"
    )
    privileged_pods: str = Field(
        "", description="Names of resources whose Pods may be privileged, separated by commas"
    )
    model_name: str = Field(
        "flight-delay",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$",
        description="Name of the registered model",
    )

    serving_engines: Literal["none", "kserve", "seldon", "both"] = Field(
        "none",
        description=(
            "What serves (none, kserve, seldon or both), where components is not said (valid "
            "for this release)"
        ),
    )
    prediction_log_rate: Annotated[str, AfterValidator(_share)] = Field(
        "1.0", description="Share of the predictions that servers record, 0 to 1"
    )
    training_operator: bool = Field(
        False,
        description=(
            "Whether the cluster runs TFJobs and PyTorchJobs, where components is not said "
            "(valid for this release)"
        ),
    )
    notebooks: bool = Field(
        False,
        description=(
            "Whether there is JupyterLab, where components is not said (valid for this release)"
        ),
    )
    notebook_storage_size: Quantity = Field(
        "2Gi", description="Size of the notebook's volume, its user's home"
    )
    layers: Literal["all", "infra"] = Field(
        "all", description="What is deployed (all, or infra alone)"
    )
    aws_account: str = Field(
        "",
        pattern=r"^([0-9]{12})?$",
        description=(
            "Number of the AWS account that the stack may be in; empty for that of the credentials"
        ),
    )
    aws_region: str = Field(
        "eu-central-1",
        pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$",
        description="AWS region; its zones a, b and c are used",
    )
    aws_preset: Literal["trial", "team", "production"] = Field(
        "trial", description="Size on AWS (trial, team or production)"
    )
    aws_database: bool = Field(False, description="Whether AWS runs a MySQL server for the stack")
    aws_api_cidrs: Annotated[str, AfterValidator(_cidrs)] = Field(
        "",
        description=(
            "Networks that reach the Kubernetes API from the internet; none for the VPC alone"
        ),
    )
    aws_s3_endpoint: str = Field(
        "",
        pattern=r"^(https?://[^/\s]+)?$",
        description=(
            "URL of S3's API, as of an interface endpoint; empty for the region's public one"
        ),
    )
    aws_administrators: Annotated[str, AfterValidator(_roles)] = Field(
        "", description="ARNs of roles that administer the EKS cluster, separated by commas"
    )
    aws_addon_versions: Annotated[str, AfterValidator(_addon_versions)] = Field(
        "",
        description=(
            "Pinned versions of EKS add-ons, as coredns=v1.12.1-eksbuild.2, separated by commas"
        ),
    )
    owner: str = Field(
        "",
        pattern=r"^([^@\s,]+@[^@\s,]+\.[^@\s,]+)?$",
        description="E-mail address of who answers for the stack and is told of its cost",
    )
    expires: Annotated[str, AfterValidator(_expiry)] = Field(
        "never", description="Day after which the stack may be destroyed, as 2030-01-31, or never"
    )

    @property
    def chosen(self) -> frozenset[str]:
        """What the stack has of `COMPONENTS`."""
        if self.components:
            return frozenset(items(self.components)) & frozenset(COMPONENTS)
        asked = {
            "kubeflow-ui": self.kubeflow_ui,
            "kserve": self.serving_engines in ("kserve", "both"),
            "seldon": self.serving_engines in ("seldon", "both"),
            "training-operator": self.training_operator,
            "notebooks": self.notebooks,
        }
        return frozenset(name for name in COMPONENTS if asked[name])

    def without(self, *components: str) -> Self:
        """Return the same settings of a stack that has not these of its components."""
        left = [name for name in COMPONENTS if name in self.chosen - set(components)]
        former = {name: type(self).model_fields[name].default for name in _FORMER_SWITCHES}
        text = ", ".join(left) or _NO_COMPONENTS
        return self.model_copy(update={**former, "components": text})

    def notice(self) -> str:
        """Return how what the next release no longer takes is to be written, or nothing."""
        former = self._former_switches()
        if not former:
            return ""
        written = [name for name in COMPONENTS if name in self.chosen]
        return (
            f"{', '.join(former)}: the setting `components` says it from now on; write "
            f"`components: {', '.join(written) or _NO_COMPONENTS}` instead"
        )

    def _former_switches(self) -> list[str]:
        # Pulumi gives every key its default, so that it cannot be told whether one is written.
        return [
            to_camel(name)
            for name in _FORMER_SWITCHES
            if getattr(self, name) != type(self).model_fields[name].default
        ]

    @model_validator(mode="after")
    def _components_are_said_once(self) -> Self:
        if self.components and (former := self._former_switches()):
            raise ValueError(
                f"components says what the stack has, and {', '.join(former)} too; remove all but "
                "components"
            )
        return self

    @model_validator(mode="after")
    def _expiry_has_who_acts(self) -> Self:
        if self.artifact_expiry_days and self.layers == "infra" and self.cluster_provider != "eks":
            raise ValueError(
                "artifactExpiryDays does nothing without MLflow, beside which old artifacts are "
                "deleted; set layers to all, or remove artifactExpiryDays"
            )
        return self

    @model_validator(mode="after")
    def _provider_has_what_it_needs(self) -> Self:
        foreign: tuple[str, ...] = ("kubeconfig", "kube_context", "node_address")
        if self.cluster_provider == "eks":
            foreign = ("kubeconfig", "kube_context")
            if not self.owner:
                raise ValueError(
                    "clusterProvider eks needs owner, who is told of its cost; set it with "
                    "`pulumi config set owner NAME@EXAMPLE.ORG`"
                )
            if self.layers == "all" and not self.image_registry:
                raise ValueError(
                    "layers all on eks needs imageRegistry, from which its nodes pull: bring it up "
                    "with layers infra, push the images to the repositories it then shows, and set "
                    "imageRegistry (see docs/aws.md)"
                )
            if engines := self.chosen & {"kserve", "seldon"}:
                raise ValueError(
                    f"{', '.join(sorted(engines))}: model servers find no credentials for S3 on "
                    "eks yet; take them out of components"
                )
            if self.cluster_network != "auto" and not self.cluster_network.endswith("/16"):
                raise ValueError("a VPC over three zones needs a clusterNetwork of /16")
        if self.cluster_provider == "existing":
            missing = [f for f in ("kubeconfig", "image_registry") if not getattr(self, f)]
            if missing:
                keys = ", ".join(to_camel(f) for f in missing)
                raise ValueError(
                    f"clusterProvider existing needs {keys}; set each with "
                    "`pulumi config set KEY VALUE`"
                )
            return self
        if self.cluster_provider == "embedded":
            # Its node has no way to a registry.
            foreign = (*foreign, "image_registry")
            if self.storage_class not in ("", STORAGE_CLASS):
                raise ValueError(
                    f"an embedded cluster has no storageClass {self.storage_class!r}: remove it, "
                    f"or write {STORAGE_CLASS}"
                )
        given = [to_camel(f) for f in foreign if getattr(self, f)]
        if given:
            raise ValueError(
                f"{', '.join(given)} belong to clusterProvider existing, but it is "
                f"{self.cluster_provider}; remove them or set clusterProvider"
            )
        return self


def keys() -> list[str]:
    """Return the valid configuration keys, as they are written in a stack's file."""
    return sorted(to_camel(field) for field in Settings.model_fields)


def check_stack_name(stack: str) -> str:
    """Return the stack's name, which also names its cluster.

    Raises:
        SettingsError: it cannot name a Kubernetes node.
    """
    if not _DNS_LABEL.fullmatch(stack) or len(stack) > _STACK_NAME_LENGTH:
        raise SettingsError(
            f"the stack's name {stack!r} also names its cluster: use at most {_STACK_NAME_LENGTH} "
            "lower-case letters, digits and hyphens, and begin with a letter"
        )
    return stack


def parse(values: dict[str, str]) -> Settings:
    """Return the settings that the given configuration describes.

    Args:
        values: key without the project's prefix to text, as `pulumi config` holds it.

    Raises:
        SettingsError: an unknown key, or a value out of bounds; all are named at once.
    """
    unknown = sorted(set(values) - set(keys()))
    if unknown:
        raise SettingsError(
            f"unknown configuration {', '.join(unknown)}; valid keys: {', '.join(keys())}. "
            "Remove one with `pulumi config rm KEY`"
        )
    try:
        return Settings.model_validate_strings(values, by_alias=True)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc'])) or 'configuration'}: "
            f"{e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_url=False)
        ]
        raise SettingsError("\n".join(["the stack's configuration is wrong", *lines])) from error


def check_compiled() -> None:
    """Refuse a compiled pipeline whose steps' image is not the one that the toolchain builds.

    No node would have it, and a run would wait for it until its time is over.

    Raises:
        SettingsError: the pipeline is to be compiled again.
    """
    if IMAGE not in COMPILED.read_text():
        raise SettingsError(
            f"{COMPILED.name} names another image of the steps than the toolchain builds from "
            "this code: run `make pipeline`"
        )


def load() -> Settings:
    """Return the settings of the running stack.

    Raises:
        SettingsError: see `parse` and `check_compiled`.
    """
    check_stack_name(pulumi.get_stack())
    found = parse({key: v for key, v in _configuration().items() if key not in COMMAND_KEYS})
    if found.layers == "all":
        # Before anything is registered: what is compiled wrongly changes nothing.
        check_compiled()
    left_out = items(from_command("without"))
    return found.without(*left_out) if left_out else found


def from_command(key: str) -> str:
    """Return what the make command told the running program; empty under a plain `pulumi`."""
    return _configuration().get(key, "")


def _configuration() -> dict[str, str]:
    prefix = f"{PROJECT}:"
    config = pulumi.runtime.config.CONFIG.get()
    return {k.removeprefix(prefix): v for k, v in config.items() if k.startswith(prefix)}
