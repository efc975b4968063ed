"""A scikit-learn call in a FastAPI app and nothing else: what a serving engine is compared with.

Runs in a model server's container, where model and packages are. Ends when its input does.
"""

import os
import sys
import threading

import pandas as pd
import uvicorn
from fastapi import FastAPI, Request

from mlops_serving import predictor

model = predictor.load(predictor.Path(predictor.FOLDER))
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> dict[str, list[float]]:
    """Return the chance of arriving late of each flight."""
    frame = pd.DataFrame(await request.json())
    return {"probabilities": model.predict_proba(frame)[:, 1].tolist()}


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=_end_with_input, daemon=True).start()
uvicorn.run(app, host="0.0.0.0", port=int(sys.argv[1]), log_level="error")  # noqa: S104 - a Pod
