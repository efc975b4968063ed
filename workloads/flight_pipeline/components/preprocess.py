"""Preprocess: raw flights and weather to a training and an evaluation set."""

from kfp import dsl

from flight_pipeline.settings import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def preprocess(
    training_months: str,
    evaluation_month: int,
    data: str,
    training_set: dsl.Output[dsl.Dataset],
    evaluation_set: dsl.Output[dsl.Dataset],
) -> None:
    """Write both sets as Parquet, with rows, months and content digest as metadata."""
    from flight_delay.preprocess import prepare

    prepared = prepare(
        training_months=training_months, evaluation_month=evaluation_month, data=data
    )
    for frame, artifact, chosen in (
        (prepared.training, training_set, training_months),
        (prepared.evaluation, evaluation_set, str(evaluation_month)),
    ):
        frame.to_parquet(artifact.path, index=False)
        artifact.metadata.update(
            {
                "rows": len(frame),
                "months": chosen,
                "digest": prepared.digest,
                "columns": ", ".join(frame.columns),
            }
        )
