"""How far a linear mean leads astray when it is rolled out."""

from __future__ import annotations

import numpy as np
import torch

from .data import TrainingData
from .features import LagFeatures
from .forecast import LinearForecast
from .origins import origins, stimulus_at, windows_at

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
        self.features, self.d = features, data.n_outputs
        work = features.n_features * self.d
        n = max(4, min(N_ORIGINS, int(MAX_WORK / max(1, work))))
        self.cases = []
        mean, scale = data.y_moments
        lag_scale = data.settings.lag_scale * data.x_scale[: self.d]
        offset = data.settings.lag_scale * data.x_mean[: self.d]
        offset = offset + data.settings.lag_offset
        self.gain = scale / lag_scale
        self.bias = (mean - offset) / lag_scale
        for k, block in enumerate(blocks):
            rows = np.arange(block.start, block.stop)
            starts = origins(data, rows, HORIZON, n)
            if not len(starts):
                continue
            ahead = starts[:, None] + np.arange(HORIZON)
            x = self._standard(data, starts)
            shown = stimulus_at(data, ahead)
            if shown is not None:
                centre, unit = data.x_mean[self.d :], data.x_scale[self.d :]
                stimulus = np.nan_to_num((shown.cpu().numpy() - centre) / unit)
            else:
                stimulus = np.zeros((*ahead.shape, 0))
            y = data.target[data.index(ahead.ravel())].cpu().double().numpy()
            self.cases.append((k, x, stimulus, y.reshape(*ahead.shape, -1)))

    def _standard(self, data: TrainingData, rows: np.ndarray) -> np.ndarray:
        x = (windows_at(data, rows) - torch.as_tensor(data.x_mean)) / torch.as_tensor(
            data.x_scale
        )
        filled, _ = data.gaps.fill(x.to(data.device))
        newest: np.ndarray = filled[:, -self.features.n_lags :].cpu().double().numpy()
        return newest

    @np.errstate(over="ignore", invalid="ignore")
    def __call__(self, forecast: LinearForecast) -> float:
        """Roll the mean out and return its loss."""
        error = np.zeros(HORIZON)
        for k, x, stimulus, y in self.cases:
            coef, intercept = forecast.block_coefs[k], forecast.block_intercepts[k]
            for h in range(HORIZON):
                ahead = x.reshape(len(x), -1) @ coef + intercept
                apart = np.nansum((ahead - y[:, h]) ** 2, axis=1)
                error[h] += np.sqrt(apart).sum()
                if h + 1 < HORIZON:
                    newest = np.concatenate(
                        [ahead * self.gain + self.bias, stimulus[:, h + 1]], 1
                    )
                    x = np.concatenate([x[:, 1:], newest[:, None]], 1)
        loss = np.log(np.maximum(error, 1e-300)).mean()
        return float(np.nan_to_num(loss, nan=np.inf, posinf=np.inf))
