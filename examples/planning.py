"""Which stimulus makes one neuron fire, and leaves the others as they are?

A forecaster is fitted to a simulated spiking population under a moving stimulus. Then
`optimize_stimulus` looks for the stimulus of the next eight bins that raises one
neuron's count while the others stay near their mean, and the plan is shown to the
simulator itself.

How to read the figure (demo_output/planning.png): the left panel is the plan, one line
a stimulus channel. The right panel has, bin by bin, the mean count of the neuron in the
simulator under the plan, under no stimulus, and as the forecaster expected it.

What it cannot do: it trusts the fitted law, and looks for a plan only inside the
bounds, which should lie where the stimulus of training lay.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
from afm_sklearn.applications import RaiseChannel, optimize_stimulus
from afm_sklearn.datasets import make_spiking_population

HORIZON, NEURON, NOW = 8, 2, 1500


def main():
    data = make_spiking_population(n_times=2000, n_neurons=8, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    windows = np.asarray(SlidingWindow(5).fit_transform(X))
    model = AFMForecaster(random_state=0).fit(windows, data.activity)

    goal = RaiseChannel(NEURON, rest=data.activity.mean(0), price=0.1)
    now = windows[NOW : NOW + 1]
    plan = optimize_stimulus(
        model, now, goal, horizon=HORIZON, bounds=(-1, 1), random_state=0
    )
    print(f"expected objective {plan.objective:.3f} +- {plan.standard_error:.3f}")

    def simulated(stimulus):
        draws = data.oracle.sample_trajectories(
            now, HORIZON, stimulus=stimulus[None], n_samples=2000, random_state=0
        )
        return draws[0]

    bins = np.arange(1, HORIZON + 1)
    none = np.zeros_like(plan.stimulus)
    print(f"in the simulator, planned  {goal(simulated(plan.stimulus)).mean():.3f}")
    print(f"in the simulator, nothing  {goal(simulated(none)).mean():.3f}")

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for k, line in enumerate(plan.stimulus.T):
        left.step(bins, line, where="mid", label=f"stimulus {k}")
    left.set(title="the plan", xlabel="bins from now", ylabel="stimulus")
    left.set_ylim(-1.1, 1.1)
    left.legend(frameon=False)
    for label, draws, style in (
        ("simulator, planned stimulus", simulated(plan.stimulus), "C0-"),
        ("what was expected", plan.trajectories, "C0--"),
        ("simulator, no stimulus", simulated(none), "0.5"),
    ):
        right.plot(bins, draws[:, :, NEURON].mean(0), style, label=label)
    right.set(
        title=f"neuron {NEURON}", xlabel="bins from now", ylabel="mean spikes in a bin"
    )
    right.set_ylim(0, 1.9)  # room for the legend
    right.legend(frameon=False)
    path = Path("demo_output/planning.png")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
