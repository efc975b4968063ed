"""What a stack is made of, by its settings."""

import pulumi

from mlops_infra import stack_identity
from mlops_infra.image import Part
from mlops_infra.infra import Infra
from mlops_infra.infra_args import AwsChoices, InfraArgs
from mlops_infra.provision import image_names, provision
from mlops_infra.stack_identity import StackIdentity
from mlops_platform.component import Component
from mlops_platform.components import COMPONENTS
from mlops_platform.serving.kserve import KServe
from mlops_platform.serving.seldon_core import SeldonCore
from mlops_platform.serving.serving_gateway import ServingGateway
from mlops_stack import ownership, settings
from mlops_stack.settings import Settings
from mlops_workloads.flight_delay_workload import FlightDelay, FlightDelayArgs
from mlops_workloads.workload import Workload


def components(config: Settings) -> frozenset[type[Component]]:
    """Return the components that a stack's settings ask for."""
    chosen = config.chosen
    found = {each for each in COMPONENTS if not each.NAME or each.NAME in chosen}
    # One address a model, wherever anything serves.
    return frozenset(found if found & {KServe, SeldonCore} else found - {ServingGateway})


def parts(config: Settings) -> tuple[type[Part], ...]:
    """Return all that a stack with its platform runs: components and what workloads add."""
    chosen = components(config)
    added = (part for each in workloads(config) for part in each.parts(chosen))
    return tuple(dict.fromkeys((*(each for each in COMPONENTS if each in chosen), *added)))


def images(config: Settings) -> tuple[str, ...]:
    """Return the names of the toolchain's images that the nodes of a stack must get."""
    return image_names(config.cluster_provider, parts(config))


def workloads(config: Settings) -> tuple[Workload, ...]:
    """Return all workloads as a stack's settings have them, one entry each."""
    return (
        FlightDelay(
            FlightDelayArgs(
                training_months=config.training_months,
                model_name=config.model_name,
                schedule=config.pipeline_schedule,
                run=config.pipeline_run,
                log_rate=float(config.prediction_log_rate),
                notebook_size=config.notebook_storage_size,
            )
        ),
    )


def infrastructure(config: Settings) -> Infra:
    """Register the cluster and the buckets of the running program's stack.

    Raises:
        KubeconfigError: an existing cluster's kubeconfig cannot be used.
    """
    # Before everything else: what an interrupted update has made bears it.
    claim = ownership.claim_of_program()
    identity = StackIdentity(stack_identity.NAME, stack_id=claim.stack_id)
    args = InfraArgs(
        provider=config.cluster_provider,
        stack=pulumi.get_stack(),
        claim=claim,
        parts=parts(config),
        with_platform=config.layers == "all",
        ephemeral=config.ephemeral,
        kubernetes_version=config.kubernetes_version,
        network=config.cluster_network,
        reserved_memory=config.cluster_reserved_memory,
        reserved_cpu=config.cluster_reserved_cpu,
        kubeconfig=config.kubeconfig,
        kube_context=config.kube_context,
        known_identifier=settings.from_command("clusterIdentifier"),
        node_address=config.node_address,
        storage_class=config.storage_class,
        image_registry=config.image_registry,
        object_storage_size=config.object_storage_size,
        artifact_expiry_days=config.artifact_expiry_days,
        aws=AwsChoices(
            account=config.aws_account,
            region=config.aws_region,
            preset=config.aws_preset,
            owner=config.owner,
            expires=config.expires,
            api_cidrs=settings.items(config.aws_api_cidrs),
            administrators=settings.items(config.aws_administrators),
            addon_versions=settings.addon_versions(config.aws_addon_versions),
            database=config.aws_database,
            s3_endpoint=config.aws_s3_endpoint,
        ),
    )
    return provision(args, after=identity)
