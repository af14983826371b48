"""How far a linear mean leads astray when it is rolled out."""

from __future__ import annotations

import numpy as np

from .data import TrainingData
from .features import LagFeatures
from .forecast import LinearForecast
from .iterated import Iterated
from .origins import origins

HORIZON = 8
N_ORIGINS = 24  # of a block
MAX_WORK = 2e8  # multiplications of all origins in a step


class RolledError:
    """Loss of a linear forecast: mean over leads of the log distance of rolled means.

    Parameters
    ----------
    data : TrainingData
    features : LagFeatures
        What the forecast is made from.
    blocks : list of slice
        Blocks, on each of which the fit without it is judged.
    """

    def __init__(self, data: TrainingData, features: LagFeatures, blocks: list[slice]):
        self.iterated = Iterated(data, features)
        work = features.n_features * data.n_outputs
        n = max(4, min(N_ORIGINS, int(MAX_WORK / max(1, work))))
        self.cases = []
        for k, block in enumerate(blocks):
            rows = origins(data, np.arange(block.start, block.stop), HORIZON, n)
            if len(rows):
                self.cases.append((k, self.iterated.starts(rows, HORIZON)))

    @np.errstate(over="ignore", invalid="ignore")
    def __call__(self, forecast: LinearForecast) -> float:
        """Roll the mean out and return its loss."""
        error = np.zeros(HORIZON)
        for k, starts in self.cases:
            means = self.iterated.means(starts, forecast.without(k))
            for h, ahead in enumerate(means):
                apart = np.nansum((ahead - starts.y[:, h]) ** 2, axis=1)
                error[h] += np.sqrt(apart).sum()
        loss = np.log(np.maximum(error, 1e-300)).mean()
        return float(np.nan_to_num(loss, nan=np.inf, posinf=np.inf))
