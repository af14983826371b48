"""Classical forecasters with the methods of `AFMForecaster`: the ones to beat.

`ResidualForecaster` turns any scikit-learn regressor into a probabilistic forecaster,
`Persistence` is a correlated random walk, `Climatology` draws from the past at random.
"""

from .climatology import Climatology
from .persistence import Persistence
from .residual import ResidualForecaster

__all__ = ["Climatology", "Persistence", "ResidualForecaster"]
