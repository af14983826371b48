import numpy as np
import pytest
import torch

from afm_sklearn import targets
from afm_sklearn.history import moments
from afm_sklearn.targets import Targets


@pytest.fixture(params=["held ready", "computed"])
def y(request, monkeypatch):
    if request.param == "computed":
        monkeypatch.setattr(targets, "MAX_READY", 0)
    y = 1e6 + np.random.default_rng(0).normal(size=(50, 3)) * [1.0, 2.0, 3.0]
    y[4, 1] = np.nan
    return y


@pytest.mark.parametrize(
    "rows", [slice(None), slice(3, 9), torch.tensor([7, 4, 4]), np.array([0, 49])]
)
def test_rows_are_standardised_in_double_precision(y, rows):
    mean, scale = moments(y)
    found = Targets(y, mean, scale)[rows]
    assert found.dtype == torch.float32
    expected = ((y - mean) / scale)[rows].astype(np.float32)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_read_only_and_strided_targets_are_read(y):
    y.setflags(write=False)
    found = Targets(y[::2], *moments(y[::2]))
    assert len(found) == 25 and found.shape == (25, 3)
    np.testing.assert_allclose(np.nanmean(found[:].numpy(), 0), 0, atol=1e-6)


def test_parts_cover_all_rows_in_order(y, monkeypatch):
    monkeypatch.setattr("afm_sklearn.history.CHUNK", 12)
    found = Targets(y, *moments(y))
    parts = torch.cat([found[rows] for rows in found.parts()])
    torch.testing.assert_close(parts, found[:], equal_nan=True, rtol=0, atol=0)
