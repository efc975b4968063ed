"""Train: a model of the training set, or a network that a job trains, tracked in MLflow."""

from kfp import dsl

from flight_pipeline.settings import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def train(
    training_set: dsl.Input[dsl.Dataset],
    learning_rate: float,
    iterations: int,
    leaves: int,
    candidates: list,
    experiment: str,
    trainer: str,
    network: dict,
    data: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Write the fitted pipeline as joblib does; its metadata names MLflow's run."""
    import joblib

    if trainer == "sklearn":
        import pandas as pd

        from flight_delay.train import train as fit

        trained = fit(
            pd.read_parquet(training_set.path),
            hyperparameters={
                "learning_rate": learning_rate,
                "iterations": iterations,
                "leaves": leaves,
            },
            candidates=candidates,
            experiment=experiment,
            notes={
                "train_months": training_set.metadata["months"],
                "data_digest": training_set.metadata["digest"],
            },
        )
    else:
        from flight_training import train_step

        trained = train_step.train(
            framework=trainer,
            data=data,
            training_months=training_set.metadata["months"],
            network=network,
            experiment=experiment,
        )
    joblib.dump(trained.model, model.path)
    model.metadata.update(
        {
            "framework": "scikit-learn",
            "trainer": trainer,
            "mlflow_run_id": trained.run_id,
            **trained.hyperparameters,
        }
    )
    for number, score in enumerate(trained.validation, start=1):
        metrics.log_metric(f"candidate_{number}_roc_auc", round(score, 4))
    metrics.log_metric("training_flights", float(training_set.metadata["rows"]))
