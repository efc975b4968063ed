"""A pipeline with what Kubeflow's backend is patched for.

Its name is longer than a hostname may be, an iteration of its loop is skipped, and a step reads the
run's name. Components are compiled from their source: each must hold all that it uses.

`python -m tests.e2e.feature_pipeline URL NAME` runs it to its end under that name and prints the
run's id.
"""

import sys
from typing import List  # noqa: UP035 - Kubeflow's own example has it

import kfp
from kfp import dsl, kubernetes

from mlops_toolchain import images

# Less than the caller waits
_RUN_SECONDS = 270

_component = dsl.component(
    base_image=images.reference("flights"), packages_to_install=[], install_kfp_package=False
)


@_component
def write(folder: str) -> None:
    import os  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    Path(folder, "name").write_text(os.environ["KFP_RUN_NAME"])


@_component
def read(folder: str) -> str:
    from pathlib import Path  # noqa: PLC0415

    return Path(folder, "name").read_text()


@_component
def double(number: int) -> int:
    return 2 * number


@_component
def compare(numbers: List[int], name: str, expected: str) -> None:  # noqa: UP006
    found = (sorted(numbers), name)
    if found != ([2, 6], expected):
        raise ValueError(f"{found} is not [2, 6] with {expected!r}")


@dsl.pipeline(name="a-name-that-makes-the-names-of-pods-longer-than-a-hostname-may-be")
def pipeline(run_name: str) -> None:
    claim = kubernetes.CreatePVC(
        pvc_name_suffix="-shared",
        access_modes=["ReadWriteOnce"],
        size="10Mi",
        storage_class_name="local-path",
    )
    writing = write(folder="/shared")
    reading = read(folder="/shared").after(writing)
    for task in (writing, reading):
        kubernetes.mount_pvc(task, pvc_name=claim.outputs["name"], mount_path="/shared")
        task.set_caching_options(False)
    kubernetes.use_field_path_as_env(
        writing,
        env_name="KFP_RUN_NAME",
        field_path="metadata.annotations['pipelines.kubeflow.org/run_name']",
    )
    kubernetes.DeletePVC(pvc_name=claim.outputs["name"]).after(reading)
    with dsl.ParallelFor([1, 2, 3]) as number, dsl.If(number != 2):
        doubled = double(number=number)
    compare(numbers=dsl.Collected(doubled.output), name=reading.output, expected=run_name)


def main() -> int:
    """Run the pipeline; return the process's exit code."""
    client = kfp.Client(host=sys.argv[1])
    run = client.create_run_from_pipeline_func(
        pipeline, arguments={"run_name": sys.argv[2]}, run_name=sys.argv[2]
    )
    print(run.run_id)
    ended = client.wait_for_run_completion(run.run_id, timeout=_RUN_SECONDS, sleep_duration=1)
    return 0 if ended.state == "SUCCEEDED" else 1


if __name__ == "__main__":
    sys.exit(main())
