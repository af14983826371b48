"""How long it takes to observe a step and to forecast the next."""

import time
from pathlib import Path

import numpy as np
import torch

from afm_sklearn import AFMForecaster, design_matrix
from afm_sklearn.applications.stream import ForecastStream
from afm_sklearn.datasets import make_linear_var

D, N_TRAIN, LENGTH, N_SAMPLES = 100, 1000, 5, 100
BIN = 0.02  # seconds of neural time a step
WARM_UP = 20


def lines(data: Path | None, quick: bool):
    """Yield latencies in seconds, and compute time over neural time."""
    recording = make_linear_var(N_TRAIN + 1000, D, n_stimuli=0, random_state=0)
    activity = recording.activity
    model = AFMForecaster(window_length=LENGTH, random_state=0)
    model.fit(design_matrix(activity[:N_TRAIN]), activity[:N_TRAIN])
    stream = ForecastStream(model, activity[:N_TRAIN])
    spent = []
    for step in activity[N_TRAIN : N_TRAIN + (120 if quick else 1000)]:
        start = time.perf_counter()
        stream.observe(step)
        stream.forecast(1, n_samples=N_SAMPLES, random_state=0)
        spent.append(time.perf_counter() - start)
    spent = np.array(spent[WARM_UP:])
    for measure, value, most in (
        ("latency of observe and forecast, p50, s", np.quantile(spent, 0.5), BIN),
        ("latency of observe and forecast, p99, s", np.quantile(spent, 0.99), BIN),
        ("normalized latency, 20 ms bins", spent.mean() / BIN, 1.0),
    ):
        yield {
            "task": f"stream: {D} channels, 1 step, {N_SAMPLES} draws",
            "measure": measure,
            "ours": float(value),
            "opponent": "real time",
            "theirs": most,
            "bar": "less",
            "met": bool(value < most),
        }


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in lines(None, quick=False):
        print(line, flush=True)
