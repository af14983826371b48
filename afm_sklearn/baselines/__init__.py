"""Classical forecasters with the methods of `AFMForecaster`: the ones to beat.

`ResidualForecaster` turns any scikit-learn regressor into a probabilistic forecaster,
`Persistence` is a correlated random walk, `Climatology` draws from the past at random.
"""

from ._climatology import Climatology
from ._persistence import Persistence
from ._residual import ResidualForecaster

__all__ = ["Climatology", "Persistence", "ResidualForecaster"]
