"""Sizes of the platform on AWS: data, so that environments differ in nothing else."""

from dataclasses import dataclass
from typing import Final, Literal

PresetName = Literal["trial", "team", "production"]
Egress = Literal["nat", "endpoints"]


@dataclass(frozen=True, kw_only=True)
class NodeGroupSize:
    """One group of nodes.

    Attributes:
        instance_types: types to choose from; several for spot, where one may be out of stock.
        minimum: nodes that always run.
        maximum: nodes at most.
        disk_gib: size of each node's disk.
    """

    instance_types: tuple[str, ...]
    minimum: int
    maximum: int
    disk_gib: int


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One size of the platform.

    Attributes:
        egress: how nodes reach what is outside: one NAT gateway, or AWS's endpoints alone.
        system: nodes of the platform's own services.
        work: nodes of pipelines and training.
        gpu: spot nodes with a GPU, none until a Pod asks.
        log_days: days that logs are kept.
        bucket_noncurrent_days: days that replaced versions of objects are kept.
        database_class: instance class of the optional database.
        database_gib: its storage.
        database_multi_zone: whether it has a standby in another zone.
        database_backup_days: days of backups.
        volume_snapshots: daily snapshots of each claim's volume that are kept, of lasting stacks.
        database_final_snapshot: whether the database leaves a snapshot behind when it goes.
        monthly_budget_usd: spending that raises an alarm.
        protect: whether deleting the cluster and the database is refused.
    """

    egress: Egress
    system: NodeGroupSize
    work: NodeGroupSize
    gpu: NodeGroupSize
    log_days: int
    bucket_noncurrent_days: int
    database_class: str
    database_gib: int
    database_multi_zone: bool
    database_backup_days: int
    volume_snapshots: int
    database_final_snapshot: bool
    monthly_budget_usd: int
    protect: bool


_GPU = ("g5.xlarge", "g4dn.xlarge", "g6.xlarge")

PRESETS: Final[dict[PresetName, Preset]] = {
    "trial": Preset(
        egress="nat",
        system=NodeGroupSize(instance_types=("t3.large",), minimum=2, maximum=3, disk_gib=50),
        work=NodeGroupSize(instance_types=("m6i.large",), minimum=0, maximum=2, disk_gib=50),
        gpu=NodeGroupSize(instance_types=_GPU, minimum=0, maximum=1, disk_gib=100),
        log_days=7,
        bucket_noncurrent_days=7,
        database_class="db.t4g.small",
        database_gib=20,
        database_multi_zone=False,
        database_backup_days=1,
        volume_snapshots=3,
        database_final_snapshot=False,
        monthly_budget_usd=400,
        protect=False,
    ),
    "team": Preset(
        egress="nat",
        system=NodeGroupSize(instance_types=("m6i.large",), minimum=3, maximum=5, disk_gib=80),
        work=NodeGroupSize(instance_types=("m6i.2xlarge",), minimum=0, maximum=6, disk_gib=100),
        gpu=NodeGroupSize(instance_types=_GPU, minimum=0, maximum=3, disk_gib=150),
        log_days=30,
        bucket_noncurrent_days=30,
        database_class="db.t4g.medium",
        database_gib=50,
        database_multi_zone=False,
        database_backup_days=7,
        volume_snapshots=14,
        database_final_snapshot=True,
        monthly_budget_usd=1500,
        protect=False,
    ),
    "production": Preset(
        egress="endpoints",
        system=NodeGroupSize(instance_types=("m6i.xlarge",), minimum=3, maximum=9, disk_gib=100),
        work=NodeGroupSize(instance_types=("m6i.4xlarge",), minimum=1, maximum=20, disk_gib=200),
        gpu=NodeGroupSize(instance_types=_GPU, minimum=0, maximum=8, disk_gib=200),
        log_days=365,
        bucket_noncurrent_days=90,
        database_class="db.m6g.large",
        database_gib=100,
        database_multi_zone=True,
        database_backup_days=14,
        volume_snapshots=35,
        database_final_snapshot=True,
        monthly_budget_usd=6000,
        protect=True,
    ),
}
