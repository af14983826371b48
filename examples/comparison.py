"""Compare forecasters with the truth on simulated systems, lead time by lead time.

Prints one table a system: mean CRPS, standard errors and the Diebold-Mariano test
against the true law, over the folds of a TimeSeriesSplit.
"""

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import make_pipeline

from afm_sklearn import (
    AFMForecaster,
    ResidualForecaster,
    SlidingWindow,
    compare,
    design_matrix,
)
from afm_sklearn.datasets import (
    make_double_well,
    make_linear_var,
    make_lorenz,
    make_spiking_population,
)

SYSTEMS = {
    "linear VAR": make_linear_var,
    "Lorenz 63": make_lorenz,
    "double wells": make_double_well,
    "spiking population": make_spiking_population,
}


def main():
    for name, make in SYSTEMS.items():
        data = make(n_times=4000, random_state=0)
        X = design_matrix(data.activity, data.stimulus, data.runs)
        forecasters = {
            "oracle": data.oracle,
            "AFM": AFMForecaster(random_state=0),
            "ridge": ResidualForecaster(RidgeCV(np.logspace(-2, 5, 15))),
        }
        result = compare(
            {
                label: make_pipeline(SlidingWindow(5, run_column=-1), forecaster)
                for label, forecaster in forecasters.items()
            },
            X,
            data.activity,
            cv=TimeSeriesSplit(2, test_size=600),
            horizon=4,
            scores="crps",
        )
        print(f"\n{name}\n{result}", flush=True)


if __name__ == "__main__":
    main()
