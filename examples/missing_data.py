"""Frames were lost and a channel died. What now?

Question: the recording has holes. Must they be filled before a forecaster can be
fitted, and how sure is a forecast that starts in a hole?

Nothing is filled: what was not observed is NaN, in training and afterwards. A tenth of
the frames is lost here, one by one and in stretches, and channel 0 dies in the middle
of what is forecast. What a forecast needs and was lost is drawn anew for each of its
draws.

How to read the figure: above, channel 0, step by step one step ahead. The band is to
hold nine of ten values; red spans are lost frames of all channels, and after the dotted
line this channel is never observed again, while the line goes on to show what would
have been seen. The band widens where frames are lost and closes as they come in again;
once a window of five steps holds nothing of the channel, it is as wide as the channel
ever wandered. Below, CRPS of the other channels in frames that came in, for each way to
deal with the holes; lower is better, and the dashed line is the complete recording.
Values that were filled in are taken for observed: what the intervals hold is printed.

What it cannot do: know why something is missing. Values that are missing *because*
they were large are drawn as if lost by chance. To have the lost values themselves,
drawn from past and future, see the example on imputation.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from afm_sklearn import AFMForecaster, coverage, crps, design_matrix
from afm_sklearn.datasets import make_linear_var

N_TRAIN, N_TEST, DEAD = 1500, 600, 1800  # step from which channel 0 is dead
SHOWN = slice(1700, 1840)
OUT = Path("demo_output") / "missing_data.png"


def main():
    data = make_linear_var(
        N_TRAIN + N_TEST, 5, n_stimuli=0, spectral_radius=0.97, random_state=1
    )
    y = data.activity
    lost = lose_frames(len(y), np.random.default_rng(0))
    holes = y.copy()
    holes[lost] = np.nan
    holes[DEAD:, 0] = np.nan
    given = {
        "complete": y,
        "NaN, nothing filled": holes,
        "last value": hold(holes),
        "mean": np.where(np.isnan(holes), np.nanmean(holes[:N_TRAIN], 0), holes),
    }
    losses, bands = {}, {}
    test = np.arange(N_TRAIN, len(y))
    seen = test[~lost[test]]
    for name, activity in given.items():
        X = design_matrix(activity)
        model = AFMForecaster(window_length=5, base="linear", random_state=0)
        model.fit(X[:N_TRAIN], activity[:N_TRAIN])
        draws = model.sample(model.make_windows(X)[test], 200, random_state=0)
        rows = ~lost[test]
        losses[name] = crps(y[seen, 1:], draws[rows, :, 1:]).mean()
        held = coverage(y[test], draws).mean()
        print(f"{name:20} CRPS {losses[name]:.3f}; 90 % intervals hold {held:.0%}")
        bands[name] = np.quantile(draws, (0.05, 0.95), axis=1)
    width = np.diff(bands["NaN, nothing filled"][:, :, 0], axis=0)[0]
    kept = ~lost[test - 1] & (test < DEAD)
    first = lost[test - 1] & ~lost[test - 2]
    print(f"frames lost: {lost.mean():.0%}; width of the band of channel 0")
    print(f"after a frame that was seen    {width[kept].mean():.1f}")
    print(f"after a lost frame             {width[first & (test < DEAD)].mean():.1f}")
    print(f"long after the channel died    {width[test > DEAD + 50].mean():.1f}")
    draw(y, holes, lost, bands["NaN, nothing filled"][:, :, 0], losses)


def lose_frames(n, rng):
    """A twentieth of the frames one by one, as many in stretches of ten."""
    lost = rng.random(n) < 0.05
    for start in np.flatnonzero(rng.random(n) < 0.005):
        lost[start : start + 10] = True
    return lost


def hold(activity):
    """Carry the last value on."""
    filled = activity.copy()
    for t in range(1, len(filled)):
        filled[t] = np.where(np.isnan(filled[t]), filled[t - 1], filled[t])
    return filled


def draw(y, holes, lost, band, losses):
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9, 6.5), height_ratios=(2, 1), layout="constrained"
    )
    steps = np.arange(len(y))[SHOWN]
    rows = slice(SHOWN.start - N_TRAIN, SHOWN.stop - N_TRAIN)
    above.fill_between(
        steps, *band[:, rows], step="mid", color="C0", alpha=0.35, lw=0,
        label="forecast one step ahead, 90 %",
    )  # fmt: skip
    above.plot(steps, y[SHOWN, 0], color="0.5", lw=0.8, label="what happened")
    above.plot(steps, holes[SHOWN, 0], "k.", ms=5, label="what was observed")
    for t in steps[lost[SHOWN]]:
        above.axvspan(t - 0.5, t + 0.5, color="C3", alpha=0.15, lw=0)
    above.axvline(DEAD, color="k", ls=":")
    above.set(xlabel="step", ylabel="channel 0", xlim=(steps[0], steps[-1]))
    low, high = above.get_ylim()
    above.set_ylim(low, high + 0.2 * (high - low))
    above.legend(ncols=3, frameon=False, loc="upper left")
    above.set_title("Red: lost frames. From the dotted line on: a dead channel")
    names = [name for name in losses if name != "complete"][::-1]
    below.barh(names, [losses[name] for name in names], color=["0.7", "0.7", "C0"])
    below.axvline(losses["complete"], color="k", ls="--", lw=1)
    for k, name in enumerate(names):
        below.text(losses[name], k, f" {losses[name]:.3f}", va="center")
    below.set(xlabel="CRPS of the channels that live")
    below.set_xlim(0, 1.1 * max(losses.values()))
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
