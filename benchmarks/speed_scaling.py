"""How time grows with the length, the samples, the horizon and the channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from speed_bar import Bar, seconds

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix

LENGTH = 5
LIMITS = {"rows": 1.1, "samples": 1.1, "horizon": 1.1, "channels": 2.0}
SIZES = {
    "rows": (400, 1200, 4000, 12000, 40000),
    "samples": (30, 100, 300, 1000, 3000),
    "horizon": (2, 6, 20, 60, 200),
    "channels": (5, 15, 50, 150, 500),
}


def scaling(results: Path) -> Iterator[Bar]:
    """Slopes of log time against log size, over two decades."""
    model = AFMForecaster(base="learned", max_epochs=1, random_state=0)
    X, y = _data(1000, 20)
    fitted = AFMForecaster(base="learned", max_epochs=1, random_state=0).fit(X, y)

    def fit(n_rows: int, d: int) -> Callable[[], object]:
        X, y = _data(n_rows, d)
        return lambda: model.fit(X, y)

    def roll(horizon: int, n_samples: int) -> Callable[[], object]:
        return lambda: fitted.sample_trajectories(X[-4:], horizon, n_samples=n_samples)

    tasks: dict[str, Callable[[int], Callable[[], object]]] = {
        "rows": lambda size: fit(size, 20),
        "channels": lambda size: fit(1000, size),
        "samples": lambda size: roll(4, size),
        "horizon": lambda size: roll(size, 50),
    }
    fit(400, 5)()
    curves = {}
    for name, task in tasks.items():
        times = []
        for size in SIZES[name]:
            call = task(size)
            first = seconds(call)
            times.append(min([first, *(seconds(call) for _ in range(int(first < 3)))]))
        curves[name] = times
        slope = np.polyfit(np.log(SIZES[name]), np.log(times), 1)[0]
        last = np.log(times[-1] / times[-2]) / np.log(SIZES[name][-1] / SIZES[name][-2])
        what = "fit, one epoch" if name in ("rows", "channels") else "trajectories"
        yield Bar(
            f"6 slope of log time in {name}, {what}",
            float(slope),
            "",
            at_most=LIMITS[name],
            note=", ".join(
                f"{size}: {t:.3g} s" for size, t in zip(SIZES[name], times, strict=True)
            )
            + f"; slope at the end {last:.2f}",
        )
    _plot(curves, results / "scaling.png")


def _data(n_rows: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    y = np.random.default_rng(0).standard_normal((n_rows, d), np.float32)
    return SlidingWindow(LENGTH).fit_transform(design_matrix(y)), y


def _plot(curves: dict[str, list[float]], path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(13, 3.2), layout="constrained")
    for ax, (name, times) in zip(axes, curves.items(), strict=True):
        sizes = np.array(SIZES[name])
        ax.loglog(sizes, times, "o-", label="measured")
        ax.loglog(sizes, times[-1] * sizes / sizes[-1], ":", label="linear")
        ax.set(xlabel=name, ylabel="seconds" if ax is axes[0] else "")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
