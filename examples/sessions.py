"""Can yesterday's recordings help with the neurons that I found today?

Four simulated sessions of different neurons share the dynamics of their latents. A
model is fitted to three of them, and brought to the fourth, of which more and more is
shown. The figure has the CRPS one step ahead against the rows of the new session,
beside a model that saw the session alone and the true law. A session that shares
nothing is tried, too.

Read it from the left: where the blue curve lies below the grey one, sharing helps; the
two meet when the session has told enough by itself. It cannot tell which neuron of
today is which of yesterday. Where dynamics differ it should not do worse than a model
of the session alone, and that is all: a weight says that held-out rows gained, not
that dynamics are alike.
"""

import warnings
from pathlib import Path

from afm_sklearn import (
    AFMForecaster,
    OutOfDistributionWarning,
    adaptation_curve,
    crps,
    design_matrix,
    stack_sessions,
)
from afm_sklearn.datasets import make_sessions

SIZES, N_TEST, N_KNOWN = (150, 300), 300, 500
FIGURE = Path("demo_output") / "sessions.png"


def main():
    import matplotlib.pyplot as plt

    *known, new, alien = make_sessions(4, 650, 15, 3, 2, n_alien=1, random_state=0)
    X, y, _ = stack_sessions(
        [(s.activity[:N_KNOWN], s.stimulus[:N_KNOWN], s.name) for s in known]
    )
    # Small networks and short trainings: what is shared is the point here.
    model = AFMForecaster(window_length=2, hidden_dim=32, max_epochs=1, random_state=0)
    model.fit(X, y)
    X, y = design_matrix(new.activity, new.stimulus), new.activity
    with warnings.catch_warnings():  # little was shown of the new session
        warnings.simplefilter("ignore", OutOfDistributionWarning)
        curve = adaptation_curve(model, X, y, sizes=SIZES, n_test=N_TEST)
    for size, adapted, alone, weight in zip(
        curve.sizes, curve.adapted, curve.alone, curve.weight, strict=True
    ):
        print(
            f"{size:4} rows: CRPS adapted {adapted:.3f}, alone {alone:.3f}; "
            f"weight of what is shared {weight:.2f}"
        )
    rows = slice(-N_TEST - SIZES[1], -N_TEST)
    foreign = design_matrix(alien.activity, alien.stimulus)
    told = model.adapt(foreign[rows], alien.activity[rows]).adapted_
    print(f"a session that shares nothing: weight {told['weight']:.2f}")
    figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
    curve.plot(ax)
    draws = new.oracle.sample(X[-N_TEST:], 100, random_state=0)
    ax.axhline(crps(y[-N_TEST:], draws).mean(), color="k", ls=":", label="true law")
    ax.set_title("a new session of other neurons", loc="left")
    ax.set_xticks(SIZES, [str(size) for size in SIZES])
    ax.xaxis.set_minor_locator(plt.NullLocator())
    ax.legend(frameon=False)
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=150)
    print(f"{FIGURE} was written")


if __name__ == "__main__":
    main()
