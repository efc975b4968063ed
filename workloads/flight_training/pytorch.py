"""Training with PyTorch: each worker's gradients are averaged over gloo.

https://pytorch.org/docs/stable/notes/ddp.html
"""

import contextlib
import io
import os
from collections.abc import Callable

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from flight_training.classifier import SEED, Layer, sizes
from flight_training.errors import TrainingError
from flight_training.settings import Settings

_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE")


def place() -> tuple[int, int]:
    """Return this worker's number from 0, and the number of workers.

    Raises:
        TrainingError: the process is not part of a PyTorchJob.
    """
    if missing := [name for name in _VARIABLES if name not in os.environ]:
        raise TrainingError(
            f"{', '.join(missing)} not set; the training operator sets them in a PyTorchJob's Pods"
        )
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


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
    distributed.init_process_group("gloo")
    # The first call looks once for the interface of NumPy that Debian's PyTorch was built for, and
    # NumPy says at length that it has another. It is not used here: see _tensor.
    with contextlib.redirect_stderr(io.StringIO()):
        torch.manual_seed(SEED)
    parts: list[nn.Module] = []
    for layer in sizes(inputs.shape[1], settings.hidden_units):
        parts += [nn.Linear(*layer), nn.ReLU()]
    network = DistributedDataParallel(nn.Sequential(*parts[:-1]))
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    measure = nn.BCEWithLogitsLoss()
    known, truth = _tensor(inputs), _tensor(labels)
    for epoch in range(1, settings.epochs + 1):
        total = 0.0
        for rows in torch.randperm(len(truth)).split(settings.batch_size):
            optimizer.zero_grad()
            loss = measure(network(known[rows]).squeeze(1), truth[rows])
            loss.backward()
            optimizer.step()
            total += float(loss) * len(rows)
        say(f"epoch {epoch} of {settings.epochs}: loss {total / len(truth):.4f}")
    # A worker that left earlier would break the others' last step.
    distributed.barrier()
    distributed.destroy_process_group()
    return [
        (np.array(part.weight.tolist()).T, np.array(part.bias.tolist()))
        for part in parts
        if isinstance(part, nn.Linear)
    ]


def _tensor(array: np.ndarray) -> torch.Tensor:
    # Through the buffer: Debian's PyTorch was built for an older NumPy's interface.
    return torch.frombuffer(
        np.ascontiguousarray(array, dtype=np.float32), dtype=torch.float32
    ).reshape(array.shape)
