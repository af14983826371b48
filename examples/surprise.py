"""Find the periods in which a recording does not behave as it used to.

Question: when does this population stop doing what its own past says it should?

A detector learns from calm activity of eight noisy switches. Then they come to pull
one another along, as in a seizure, for 200 steps, and later one channel falls silent.
A test martingale bets against the same forecasts step by step, as it could in a
recording that is still going on.

The figure: above, the activity; what is abnormal is marked. In the middle, the
decision of the detector, an alarm where it is below zero, at one false alarm in a
thousand steps of calm data. Below, the evidence of a change that the martingale has.
Where it reaches 1000, which takes a thousand steps or more on average if the forecasts
are right, it gives an alarm (a dot) and begins anew.

What it cannot do: say why. It finds that forecasts fail for long, by a new coupling, a
lost channel or an electrode that moved alike; a single odd step is left alone. The
martingale takes the model for right: one that is slightly wrong is found out in time.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from afm_sklearn import AFMForecaster, design_matrix
from afm_sklearn.applications.detector import SurpriseDetector
from afm_sklearn.applications.martingale import SurpriseMartingale
from afm_sklearn.applications.surprise import surprise
from afm_sklearn.datasets import make_double_well

N_TRAIN, N_TEST = 3000, 1200
SEIZURE, SILENCE = slice(400, 600), slice(900, 1050)
OUT = Path("demo_output") / "surprise.png"


def main():
    activity = record(seed=0)
    X = design_matrix(activity)
    train, test = slice(N_TRAIN), slice(N_TRAIN, None)
    forecaster = AFMForecaster(window_length=3, max_epochs=20, random_state=0)
    detector = SurpriseDetector(forecaster, random_state=0)
    detector.fit(X[train], activity[train])
    decision = detector.decision_function(X[test], activity[test])
    p = surprise(detector.forecaster_, X[test], activity[test], random_state=0)
    martingale, change = SurpriseMartingale(), []
    for one in p:
        martingale.update(one)
        change.append(martingale.log_change / np.log(10))
        if change[-1] > 3:
            martingale.reset()
    for name, period in (("synchrony", SEIZURE), ("silence", SILENCE)):
        late = np.flatnonzero(decision[period] < 0)
        found = f"after {late[0]} steps" if len(late) else "not at all"
        print(f"{name}: found {found}")
    calm = np.ones(N_TEST, bool)
    for period in (SEIZURE, SILENCE):  # the average takes a while to settle again
        calm[period.start : period.stop + 90] = False
    alarms = np.flatnonzero(np.diff((decision < 0).astype(int)) == 1) + 1
    print(f"false alarms in {calm.sum()} calm steps: {calm[alarms].sum()}")
    draw(activity[test], decision, np.array(change))


def record(seed):
    """Switches that are coupled strongly for a while; then one that is silent."""
    law = make_double_well(10, 8, random_state=0).oracle.law
    coupled = replace(law, coupling=0.6)
    rng = np.random.default_rng(seed)
    state, steps = rng.choice([-1.0, 1.0], size=(1, 1, 8)), []
    nothing = np.empty((1, 0))
    for t in range(N_TRAIN + N_TEST):
        is_coupled = SEIZURE.start <= t - N_TRAIN < SEIZURE.stop
        state = (coupled if is_coupled else law).draw(state, nothing, rng)[:, None]
        steps.append(state[0, 0])
    activity = np.array(steps)
    activity[N_TRAIN + SILENCE.start : N_TRAIN + SILENCE.stop, 3] = 0.0
    return activity


def draw(activity, decision, change):
    import matplotlib.pyplot as plt

    figure, (above, middle, below) = plt.subplots(
        3, 1, figsize=(8, 6), sharex=True, height_ratios=(2, 1, 1), layout="constrained"
    )
    size = np.abs(activity).max()
    above.imshow(
        activity.T, aspect="auto", cmap="RdBu_r", vmin=-size, vmax=size,
        interpolation="nearest", extent=(0, len(activity), 7.5, -0.5),
    )  # fmt: skip
    above.set_ylabel("channel")
    above.set_title("Activity: strong coupling, then a silent channel", loc="left")
    middle.axhline(0, color="k", lw=0.8)
    middle.plot(decision, color="C0", lw=1)
    middle.fill_between(
        np.arange(len(decision)), decision, 0, where=decision < 0, color="C3", lw=0
    )
    middle.set_ylabel("decision")
    middle.set_title("Detector: red is an alarm", loc="left")
    below.plot(change, color="C0", lw=1)
    below.axhline(3, color="C3", ls="--", lw=1)
    alarms = np.flatnonzero(change > 3)
    below.plot(alarms, change[alarms], "C3o", ms=5)
    below.set_ylabel("log10 evidence")
    below.set_title("Martingale, step by step: dots are alarms", loc="left")
    below.set_xlabel("step")
    for axes in (above, middle, below):
        for period in (SEIZURE, SILENCE):
            for edge in (period.start, period.stop):
                axes.axvline(edge, color="k", lw=1, ls=":")
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=120)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
