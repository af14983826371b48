"""Simulators of the tests, and their true laws as Pipelines."""

from sklearn.pipeline import make_pipeline

from afm_sklearn import SlidingWindow, datasets, design_matrix

SIMULATORS = [
    "make_calcium",
    "make_double_well",
    "make_linear_var",
    "make_lorenz",
    "make_oscillator",
    "make_overlapping_counts",
    "make_sparse_events",
    "make_spiking_population",
]


def true_law(name, n, seed=0):
    """A Pipeline that ends in the true law of a simulator, and data of it."""
    data = getattr(datasets, name)(n, random_state=seed)
    X = design_matrix(data.activity, data.stimulus)
    law = make_pipeline(SlidingWindow(data.oracle.law.order), data.oracle)
    return law.fit(X, data.activity), X, data.activity
