"""What was lost in a recording? Draw it, given the past, the future and the others.

Question: some entries of a recording are missing, here and there, for a while in one
channel, and for a moment in all. What may they have been? `impute` draws them from the
law that a forecaster has learnt, and leaves what was observed as it is.

How to read the figure: dots were observed, the black line is what happened. Grey lines
are draws; the band holds 90 % of them. It widens with the distance to what was
observed, and little where other channels tell of the lost one. The dashed line is
linear interpolation.

What it cannot do: draws are those of a linear Gaussian law with the slopes of the
forecaster, so that they miss what is not linear within a gap. Values that are missing
*because* of what they were (saturation, say) are drawn as if lost by chance.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from afm_sklearn import AFMForecaster, coverage, crps, design_matrix
from afm_sklearn.applications.impute import impute
from afm_sklearn.datasets import make_linear_var

N_TRAIN, N_SHOWN, N_DRAWS = 2500, 160, 200


def lose(y, rng):
    """Hide a tenth of the entries, channel 0 for 50 steps, all channels for 10."""
    lost = rng.random(y.shape) < 0.1
    lost[30:80, 0] = True
    lost[115:125] = True
    return lost


def main():
    data = make_linear_var(
        N_TRAIN + N_SHOWN, n_channels=8, order=2, spectral_radius=0.97, random_state=3
    )
    X = design_matrix(data.activity, data.stimulus)
    model = AFMForecaster(window_length=3, base="linear", random_state=0)
    model.fit(X[:N_TRAIN], data.activity[:N_TRAIN])

    truth, stimulus = data.activity[N_TRAIN:], data.stimulus[N_TRAIN:]
    lost = lose(truth, np.random.default_rng(0))
    y = np.where(lost, np.nan, truth)
    draws = impute(model, y, stimulus=stimulus, n_samples=N_DRAWS, random_state=0)

    steps = np.arange(N_SHOWN)
    line = np.column_stack(
        [
            np.interp(steps, steps[~gap], column[~gap])
            for gap, column in zip(lost.T, truth.T, strict=True)
        ]
    )
    ours = crps(truth, draws.transpose(1, 0, 2))[lost].mean()
    covered = coverage(truth[lost], draws[:, lost].T)
    error = np.abs(draws.mean(0) - truth)[lost].mean()
    straight = np.abs(line - truth)[lost].mean()
    print(f"mean error: {error:.3f}, of linear interpolation {straight:.3f}")
    print(f"CRPS {ours:.3f}; 90 % intervals cover {covered:.2f}")

    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    figure, axes = plt.subplots(3, 1, figsize=(9, 7), sharex=True, layout="constrained")
    for j, ax in enumerate(axes):
        gap = np.where(lost[:, j], 1.0, np.nan)
        wide = lost[:, j] | np.roll(lost[:, j], 1) | np.roll(lost[:, j], -1)
        ax.fill_between(
            steps,
            low[:, j],
            high[:, j],
            where=wide,
            alpha=0.35,
            lw=0,
            label="90 % of the draws",
        )
        near = np.where(wide, 1.0, np.nan)
        ax.plot(steps, (draws[:4, :, j] * near).T, color="0.6", lw=0.7)
        ax.plot(
            steps, line[:, j] * near, "--", color="C1", lw=1.2, label="interpolation"
        )
        ax.plot(steps, truth[:, j], color="k", lw=0.6)
        ax.plot(steps, truth[:, j] * gap, color="k", lw=1.6, label="what was lost")
        ax.plot(steps, y[:, j], ".", color="k", ms=4, label="observed")
        ax.set(ylabel=f"channel {j}")
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, ncols=4, loc="outside lower center", frameon=False)
    axes[0].set_title("channel 0 is lost for 50 steps, all channels for 10")
    axes[-1].set(xlabel="step")
    path = Path("demo_output/imputation.png")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=130)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
