"""Training with TensorFlow: MultiWorkerMirroredStrategy, gradients summed over gRPC.

https://www.tensorflow.org/tutorials/distribute/multi_worker_with_ctl
"""

import json
import os
from collections.abc import Callable

import numpy as np

from flight_training.classifier import SEED, Layer, sizes
from flight_training.errors import TrainingError
from flight_training.settings import Settings


def place() -> tuple[int, int]:
    """Return this worker's number from 0, the chief's, and the number of workers.

    Raises:
        TrainingError: the process is not part of a TFJob.
    """
    try:
        found = json.loads(os.environ["TF_CONFIG"])
        cluster, task = found["cluster"], found["task"]
        chiefs = len(cluster.get("chief", []))
        number = int(task["index"]) + (chiefs if task["type"] == "worker" else 0)
        return number, chiefs + len(cluster.get("worker", []))
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            "TF_CONFIG is not set, or not as the training operator sets it in a TFJob's Pods"
        ) from error


def fit(
    inputs: np.ndarray, labels: np.ndarray, settings: Settings, say: Callable[[str], None]
) -> list[Layer]:
    """Train on this worker's rows, together with the other workers.

    Args:
        inputs: float32, shape (rows, columns).
        labels: float32 of 0 and 1, shape (rows,).
        settings: the same for each worker.
        say: told of each epoch.
    """
    # Seconds, which a place that is wrong must not cost
    import keras  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415

    # Before anything else of TensorFlow: it starts the server that the others connect to.
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    keras.utils.set_random_seed(SEED)
    shapes = sizes(inputs.shape[1], settings.hidden_units)
    with strategy.scope():
        network = keras.Sequential(
            [
                keras.Input((inputs.shape[1],)),
                *(keras.layers.Dense(outputs, activation="relu") for _, outputs in shapes[:-1]),
                keras.layers.Dense(1),
            ]
        )
        optimizer = keras.optimizers.Adam(settings.learning_rate)
        optimizer.build(network.trainable_variables)
    workers = strategy.num_replicas_in_sync

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(known: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
        def of_one_worker() -> tf.Tensor:
            with tf.GradientTape() as tape:
                odds = tf.squeeze(network(known, training=True), axis=1)
                loss = tf.reduce_mean(
                    tf.nn.sigmoid_cross_entropy_with_logits(labels=truth, logits=odds)
                )
                # Keras sums the workers' gradients.
                shared = loss / workers
            gradients = tape.gradient(shared, network.trainable_variables)
            optimizer.apply(gradients, network.trainable_variables)
            return loss

        return strategy.run(of_one_worker)

    order = np.random.default_rng(SEED)
    for epoch in range(1, settings.epochs + 1):
        total = 0.0
        shuffled = order.permutation(len(labels))
        for start in range(0, len(labels), settings.batch_size):
            rows = shuffled[start : start + settings.batch_size]
            total += float(step(tf.constant(inputs[rows]), tf.constant(labels[rows]))) * len(rows)
        say(f"epoch {epoch} of {settings.epochs}: loss {total / len(labels):.4f}")
    return [
        (weights, biases) for weights, biases in (layer.get_weights() for layer in network.layers)
    ]
