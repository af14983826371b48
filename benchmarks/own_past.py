"""A ridge regression of each channel on its own past."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import RidgeCV

PENALTIES = np.logspace(-2, 6, 17)


class OwnPastRidge(RegressorMixin, BaseEstimator):
    """Ridge of each channel on its own lags and the stimulus: no other channel."""

    def __init__(self, d, length, n_channels):
        self.d, self.length, self.n_channels = d, length, n_channels

    def _features(self, X, channel):
        windows = X.reshape(len(X), self.length, self.n_channels)
        stimulus = windows[:, :, self.d :].reshape(len(X), -1)
        return np.concatenate([windows[:, :, channel], stimulus], axis=1)

    def fit(self, X, y):
        y = y.reshape(len(y), -1)
        self.models_ = [
            RidgeCV(PENALTIES).fit(self._features(X, j), y[:, j]) for j in range(self.d)
        ]
        return self

    def predict(self, X):
        columns = [
            model.predict(self._features(X, j)) for j, model in enumerate(self.models_)
        ]
        return np.column_stack(columns)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
