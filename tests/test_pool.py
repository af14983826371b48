"""Pools: one member for the next step, one for all steps after it."""

import numpy as np
import pytest
import torch

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
from afm_sklearn.datasets import make_double_well, make_spiking_population
from afm_sklearn.law import rollout
from afm_sklearn.law.frame import Frame
from afm_sklearn.law.gaps import Gaps
from afm_sklearn.law.linear import LinearLaw
from afm_sklearn.law.pool import PoolLaw, joined
from afm_sklearn.law.resampling import EmpiricalErrors
from afm_sklearn.law.residual import ResidualLaw
from afm_sklearn.law.rollout import common_rollout


def _always(value):
    """Return the law of a channel that always has this value."""
    frame = Frame(1, 1, is_autoregressive=True, is_shifted=True)
    frame.low.fill_(-100.0)
    frame.high.fill_(100.0)
    rows = torch.full((3, 1), float(value), dtype=torch.float64)
    errors = EmpiricalErrors(rows, torch.eye(1), is_relative=False)
    return ResidualLaw(frame, Gaps(1), LinearLaw(1, 1, 1), errors)


def _pool(first, ahead):
    logs = torch.tensor([first, ahead]).log()
    return PoolLaw([_always(k) for k in range(len(first))], *logs).eval()


def _paths(law, horizon, n=3, k=4000, draw=rollout):
    generator = torch.Generator().manual_seed(0)
    return draw(law, torch.zeros(n, 1, 1), horizon, k, generator=generator)[..., 0]


@pytest.mark.parametrize(
    ("first", "ahead"),
    [
        ([1.0, 0.0], [0.0, 1.0]),
        ([0.5, 0.5], [0.5, 0.5]),
        ([0.7, 0.2, 0.1, 0.0], [0.1, 0.2, 0.3, 0.4]),
        ([0.0, 0.6, 0.4], [0.9, 0.1, 0.0]),
    ],
)
@pytest.mark.parametrize("draw", [rollout, common_rollout])
def test_each_step_has_its_weights_and_a_course_changes_as_little_as_it_can(
    first, ahead, draw
):
    law = _pool(first, ahead)
    table = np.zeros((len(first), len(first)))
    for i, j, weight in law.courses():
        table[i, j] += weight
    np.testing.assert_allclose(table.sum(1), first, atol=1e-6)
    np.testing.assert_allclose(table.sum(0), ahead, atol=1e-6)
    stays = np.minimum(first, ahead).sum()
    assert np.trace(table) == pytest.approx(stays, abs=1e-6)
    paths = _paths(law, 3, draw=draw)
    assert torch.equal(paths[..., 1], paths[..., 2])
    pairs = paths[..., :2].flatten(0, 1).long()
    seen = np.zeros_like(table)
    np.add.at(seen, (pairs[:, 0], pairs[:, 1]), 1 / len(pairs))
    np.testing.assert_allclose(seen, table, atol=0.03)
    np.testing.assert_allclose(
        np.bincount(_paths(law, 1, draw=draw).flatten().long(), minlength=len(first)),
        np.array(first) * 12000,
        atol=400,
    )


def test_a_pool_predicts_by_the_first_weights_and_advances_to_the_others():
    state = _pool([0.75, 0.25], [0.0, 1.0]).start(torch.zeros(2, 1, 1))
    assert state.predict().mean.flatten().tolist() == [0.25, 0.25]
    after = state.advance(torch.zeros(2, 1))
    assert after.predict().mean.flatten().tolist() == [1.0, 1.0]
    assert after.advance(torch.zeros(2, 1)).predict().mean.flatten()[0] == 1.0


def test_joined_pools_share_both_weights():
    pool = joined(_pool([0.5, 0.5], [1.0, 0.0]), _always(7), 0.2, 0.6)
    torch.testing.assert_close(pool.log_weights.exp(), torch.tensor([0.4, 0.4, 0.2]))
    torch.testing.assert_close(
        pool.log_weights_ahead.exp(), torch.tensor([0.4, 0.0, 0.6])
    )
    law = _always(3)
    assert joined(pool, law, 0.0) is pool and joined(pool, law, 1.0) is law


def test_selection_has_weights_for_the_next_step_and_for_those_after_it():
    data = make_double_well(n_times=1500, n_channels=3, random_state=0)
    X = SlidingWindow(5).fit_transform(design_matrix(data.activity))
    model = AFMForecaster(max_epochs=5, hidden_dim=32, random_state=0)
    model.fit(X, data.activity)
    for record in model.selection_:
        assert {"weight", "weight ahead"} <= record.keys()
    linear = [r for r in model.selection_ if "," in r["candidate"]]
    pool = next(r for r in model.selection_ if r["candidate"] == "pool")
    for key in ("weight", "weight ahead"):
        shares = [record[key] for record in linear]
        assert sum(shares) == pytest.approx(pool[key], abs=1e-6)


def test_log_rates_outweigh_all_else_where_they_are_linear():
    data = make_spiking_population(n_times=1500, n_neurons=6, random_state=0)
    X = design_matrix(data.activity, data.stimulus)
    model = AFMForecaster(window_length=3, max_epochs=2, random_state=0)
    model.fit(X, data.activity)
    records = {record["candidate"]: record for record in model.selection_}
    known = records["log rate, counts"]
    others = [r for name, r in records.items() if "," in name and r is not known]
    assert known["weight"] > 2 * max(r["weight"] for r in others) > 0
    assert known["energy"] < min(r["energy"] for r in others)


def test_what_members_share_is_shared_in_copies_too():
    members = [_always(0), _always(1)]
    members[1].linear = members[0].linear
    law = PoolLaw(members, *torch.full((2, 2), 0.5).log()).eval()
    for copy in (law.in_double(), PoolLaw.from_config(law.config())):
        first, second = copy.members
        assert first.linear is second.linear
        assert first.frame is not second.frame


def test_a_forecast_that_was_asked_for_before_has_its_gradient():
    law, windows = _always(1), torch.zeros(2, 1, 1, dtype=torch.float64)
    law.linear.coef.fill_(2.0)
    law.errors.is_relative, law.errors.gives_y = True, False
    state = law.start(windows.requires_grad_())
    with torch.no_grad():
        state.predict()
    state.predict().mean.sum().backward()
    assert windows.grad.flatten().tolist() == [2.0, 2.0]
