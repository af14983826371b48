import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from afm_sklearn import history
from afm_sklearn.correlation import correlation_root, shrunk_correlation


def _values(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d))


@pytest.mark.parametrize(("n", "d"), [(30, 40), (500, 6), (2, 3), (50, 1)])
def test_it_is_the_ledoit_wolf_estimate_of_standardised_values(n, d):
    values = _values(n, d)
    standard = values / np.sqrt((values**2).mean(0))
    expected, _ = ledoit_wolf(standard, assume_centered=True)
    np.testing.assert_allclose(shrunk_correlation(values), expected, atol=1e-12)


def test_parts_do_not_show(monkeypatch):
    values = _values(100, 5)
    whole = shrunk_correlation(values)
    monkeypatch.setattr(history, "CHUNK", 40)
    np.testing.assert_allclose(shrunk_correlation(values), whole, atol=1e-12)


def test_units_do_not_matter():
    values = _values(100, 4)
    other = values * np.array([1e-6, 1.0, 1e6, -3.0])
    sign = np.diag([1.0, 1.0, 1.0, -1.0])
    np.testing.assert_allclose(
        shrunk_correlation(other), sign @ shrunk_correlation(values) @ sign, atol=1e-12
    )


def test_missing_entries_count_as_uncorrelated():
    values = _values(200, 3)
    values[:100, 0] = np.nan
    filled = np.nan_to_num(values)
    np.testing.assert_allclose(
        shrunk_correlation(values), shrunk_correlation(filled), atol=1e-12
    )


def test_silent_channels_have_no_correlation():
    values = _values(50, 4)
    values[:, 2] = 0.0
    found = shrunk_correlation(values)
    np.testing.assert_array_equal(found[2], [0.0, 0.0, 1.0, 0.0])
    rest = [0, 1, 3]
    np.testing.assert_allclose(
        found[np.ix_(rest, rest)], shrunk_correlation(values[:, rest]), atol=1e-12
    )


def test_a_single_row_says_nothing_of_correlation():
    np.testing.assert_array_equal(shrunk_correlation(_values(1, 3)), np.eye(3))


def test_a_singular_correlation_has_a_root():
    root = correlation_root(np.ones((4, 4)))
    np.testing.assert_allclose(root @ root.T, 1.0, atol=1e-8)
