"""The pipeline: Preprocess → Train → Evaluate, and Deploy when the new model is better.

Evaluate's answer depends on the champion. A step of its own reads it from the registry in each
run, beside Preprocess, so that it is among Evaluate's inputs: against the same champion the same
model's evaluation is reused, against another it is made anew. Nested graphs are kept few, because
Kubeflow starts a pod for each to decide what it runs. Train therefore tries its candidates in one
step.
"""

from kfp import dsl, kubernetes

from flight_pipeline.components.champion import champion
from flight_pipeline.components.deploy import deploy
from flight_pipeline.components.evaluate import evaluate
from flight_pipeline.components.preprocess import preprocess
from flight_pipeline.components.record import record
from flight_pipeline.components.train import train
from flight_pipeline.parameters import DEFAULTS
from flight_pipeline.settings import CONFIG_KEYS, CONFIG_MAP, NAME, SECRET, SECRET_KEYS


def _step(task: dsl.PipelineTask, *, cpu: str, memory: str) -> dsl.PipelineTask:
    """Give a task its keys and addresses, its share of the node, and two more tries."""
    kubernetes.use_secret_as_env(task, SECRET, {key: key for key in SECRET_KEYS})
    kubernetes.use_config_map_as_env(task, CONFIG_MAP, {key: key for key in CONFIG_KEYS})
    # Not a parameter: the steps of another run could not be reused.
    kubernetes.use_field_path_as_env(task, "KFP_RUN_ID", "metadata.labels['pipeline/runid']")
    return (
        task.set_env_variable("HOME", "/tmp")  # noqa: S108 - the step's own
        # Threads that wait for a busy core sleep instead of spinning.
        .set_env_variable("OMP_WAIT_POLICY", "passive")
        .set_cpu_request(cpu)
        .set_memory_request(memory)
        .set_memory_limit("3Gi")
        .set_retry(num_retries=2, backoff_duration="5s", backoff_factor=2)
    )


@dsl.pipeline(name=NAME, description="Predicts which flights out of New York arrive late")
def flight_delay(
    data: str,
    outcomes: str,
    training_months: str = DEFAULTS["training_months"],
    evaluation_month: int = DEFAULTS["evaluation_month"],
    learning_rate: float = DEFAULTS["learning_rate"],
    iterations: int = DEFAULTS["iterations"],
    leaves: int = DEFAULTS["leaves"],
    candidates: list = DEFAULTS["candidates"],
    trainer: str = DEFAULTS["trainer"],
    network: dict = DEFAULTS["network"],
    promotion_margin: float = DEFAULTS["promotion_margin"],
    canary_percent: int = DEFAULTS["canary_percent"],
    model_name: str = DEFAULTS["model_name"],
) -> None:
    """Declare the graph.

    Args:
        data: folder or `s3://bucket/prefix` of the Parquet files.
        outcomes: folder or `s3://bucket/prefix` for how each run ended.
        training_months: month or range of 2013, as 3 or 1-3.
        evaluation_month: month on which models are compared.
        learning_rate: shrinkage of each tree.
        iterations: number of trees.
        leaves: largest number of leaves of a tree.
        candidates: changes of the three to try; the best is trained on everything.
        trainer: sklearn for trees, or pytorch or tensorflow for a network that a PyTorchJob or a
            TFJob trains on two workers.
        network: what differs from the network's default hyperparameters.
        promotion_margin: how much more ROC AUC than the champion's promotes.
        canary_percent: share of the requests that a better model gets beside the champion; 0 lets
            it replace the champion.
        model_name: name of the registered model, and of MLflow's experiment.
    """
    outcome = _step(
        record(folder=outcomes, run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER), cpu="100m", memory="256Mi"
    ).set_caching_options(False)
    with dsl.ExitHandler(outcome, name="steps"):
        current = _step(
            champion(model_name=model_name), cpu="100m", memory="256Mi"
        ).set_caching_options(False)
        prepared = _step(
            preprocess(
                training_months=training_months, evaluation_month=evaluation_month, data=data
            ),
            cpu="250m",
            memory="512Mi",
        )
        trained = _step(
            train(
                training_set=prepared.outputs["training_set"],
                learning_rate=learning_rate,
                iterations=iterations,
                leaves=leaves,
                candidates=candidates,
                experiment=model_name,
                trainer=trainer,
                network=network,
                data=data,
            ),
            cpu="250m",
            memory="768Mi",
        )
        verdict = _step(
            evaluate(
                evaluation_set=prepared.outputs["evaluation_set"],
                model=trained.outputs["model"],
                champion_version=current.outputs["version"],
                champion_model=current.outputs["model"],
                promotion_margin=promotion_margin,
            ),
            cpu="250m",
            memory="768Mi",
        )
        with dsl.If(verdict.outputs["better"] == True, name="better"):  # noqa: E712 - the DSL's form
            _step(
                deploy(
                    model=trained.outputs["model"],
                    model_name=model_name,
                    data=data,
                    canary_percent=canary_percent,
                ),
                cpu="100m",
                memory="512Mi",
            ).set_caching_options(False)
