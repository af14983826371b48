"""Classical forecasters with the methods of `AFMForecaster`: the ones to beat.

`ResidualForecaster` turns any scikit-learn regressor into a probabilistic forecaster
that is rolled out, `DirectForecaster` fits one a lead time instead. `PoissonGLM` is the
generalised linear model of spike counts. `Persistence` is a correlated random walk,
`Climatology` draws from the past at random. `DrawForecaster` and `QuantileForecaster`
give the same methods to other people's models.
"""

from .climatology import Climatology
from .direct import DirectForecaster
from .draw_forecaster import DrawForecaster
from .persistence import Persistence
from .poisson_glm import PoissonGLM
from .quantile_forecaster import QuantileForecaster
from .residual import ResidualForecaster

__all__ = [
    "Climatology",
    "DirectForecaster",
    "DrawForecaster",
    "Persistence",
    "PoissonGLM",
    "QuantileForecaster",
    "ResidualForecaster",
]
