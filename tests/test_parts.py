"""Parts of a batch, of rows and of blocks: the same result on any number of threads."""

import numpy as np
import pytest
import torch
from sklearn import config_context

from afm_sklearn import AFMForecaster, SlidingWindow, design_matrix
from afm_sklearn.compute import in_turn, one_thread, parted, run_together, workers
from afm_sklearn.data.store import WindowStore
from afm_sklearn.data.windows import Windows
from afm_sklearn.fitting import data as training_data
from afm_sklearn.fitting import moments
from afm_sklearn.fitting.features import LagFeatures
from afm_sklearn.fitting.training import Batch, Objective, Rows, Trainable
from afm_sklearn.law.gaps import Gaps


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Errors(Trainable):
    """Mean squared error of the observed targets, from the newest steps."""

    def __init__(self, reach=None):
        super().__init__()
        self.layer, self.unused = torch.nn.Linear(3, 2), torch.nn.Linear(1, 1)
        self._reach = reach

    @property
    def reach(self):
        return self._reach

    def loss(self, x, missing, *columns, generator):
        (y,) = columns
        seen = torch.isfinite(y)
        error = torch.where(seen, self.layer(x[:, -1]) - y, 0.0)
        return error.square().sum() / seen.sum().clamp(min=1)

    def weight(self, *columns):
        return int(torch.isfinite(columns[0]).sum())


def _rows(n=37, reach=None):
    generator = torch.Generator().manual_seed(0)
    steps = torch.randn(n, 3, generator=generator).numpy()
    windows = Windows.from_rows(steps, 4)
    store = WindowStore.from_windows(windows, np.zeros(3), np.ones(3))
    y = torch.randn(n, 2, generator=generator)
    y[: n // 2, 0] = torch.nan
    return Rows(store, Gaps(3), torch.arange(n), [y], reach)


def _gradients(model, rows, n_parts, run=in_turn):
    model.zero_grad()
    batch = Batch(rows, torch.arange(len(rows)), torch.Generator().manual_seed(1))
    loss = Objective(model, 0.0, n_parts, run).backward(batch)
    return loss.detach(), [p.grad for p in model.layer.parameters()]


@pytest.mark.parametrize("n_parts", [2, 3, 50])
def test_gradients_of_parts_are_those_of_the_batch(n_parts):
    model, rows = Errors(), _rows()
    loss, slopes = _gradients(model, rows, 1)
    with workers(2) as run:
        loss_of_parts, slopes_of_parts = _gradients(model, rows, n_parts, run)
    torch.testing.assert_close(loss_of_parts, loss)
    torch.testing.assert_close(slopes_of_parts, slopes)
    assert model.unused.weight.grad is None


def test_a_part_without_a_target_counts_for_nothing():
    model, rows = Errors(), _rows()
    rows.columns[0][:20] = torch.nan
    whole, parts = (_gradients(model, rows, n)[1] for n in (1, 2))
    torch.testing.assert_close(parts, whole)


def test_validation_is_the_mean_over_the_batch():
    model, rows = Errors(), _rows()
    batch = Batch(rows, torch.arange(len(rows)), torch.Generator())
    values = [Objective(model, 0.0, n, in_turn).validate(batch) for n in (1, 3)]
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("n_steps", [1, 2, 4])
def test_the_newest_steps_are_filled_as_in_the_whole_window(n_steps):
    rows = _rows()
    rows.store.steps[:][10, 1] = torch.nan
    for index in (torch.arange(37), torch.arange(20, 30), torch.tensor([12])):
        whole, flags = rows.store.filled(index, rows.gaps)
        newest, missing = rows.store.filled(index, rows.gaps, n_steps)
        torch.testing.assert_close(newest, whole[:, -n_steps:])
        flags = torch.zeros_like(whole) if flags is None else flags
        found = torch.zeros_like(newest) if missing is None else missing
        torch.testing.assert_close(found, flags[:, -n_steps:])


@pytest.mark.parametrize("base", ["auto", "learned"])
def test_a_fit_is_the_same_on_any_number_of_threads(base, monkeypatch, two_threads):
    monkeypatch.setattr(training_data, "WORK_OF_PART", 1)
    rng = np.random.default_rng(0)
    activity = np.cumsum(rng.normal(size=(400, 3)), 0) * 0.1 + rng.normal(size=(400, 3))
    windows = SlidingWindow(4).fit_transform(design_matrix(activity))
    found = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        model = AFMForecaster(base=base, max_epochs=3, random_state=0)
        model.fit(windows, activity)
        found.append(model.predict_quantiles(windows[:20], [0.1, 0.5, 0.9]))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("rows_together", [1, 100, 1000])
def test_sums_are_those_of_all_rows_however_chunks_are_joined(
    rows_together, monkeypatch
):
    monkeypatch.setattr(moments, "ROWS_TOGETHER", rows_together)
    rng = np.random.default_rng(0)
    steps, y = rng.normal(size=(300, 30)), rng.normal(size=(300, 2))
    windows = Windows.from_rows(steps.astype(np.float32), 4)
    store = WindowStore.from_windows(windows, np.zeros(30), np.ones(30))
    features = LagFeatures(store, Gaps(30), 30)
    usable = rng.random(300) < 0.8
    target = torch.from_numpy(y).float()
    with config_context(working_memory=1):  # chunks of 68 rows
        assert len(list(features.chunks(slice(0, 290)))) > 3
        sums = moments.moments_of(features, target, usable, slice(0, 290))
    (every,) = features.chunks(slice(0, 300))
    f, y = every.features.double().numpy()[:290][usable[:290]], y[:290][usable[:290]]
    assert sums.n == len(f)
    for found, true in (
        (sums.f, f.sum(0)),
        (sums.ff, f.T @ f),
        (sums.fy, f.T @ y),
        (sums.yy, (y**2).sum(0)),
    ):
        np.testing.assert_allclose(found, true, rtol=1e-5, atol=1e-4)


# -- what they run on ------------------------------------------------------------


def test_tasks_return_in_order_and_run_on_one_thread_each(two_threads):
    with workers(2) as run:
        assert run([torch.get_num_threads] * 5) == [1] * 5
        assert run([lambda k=k: k for k in range(9)]) == [*range(9)]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_error_of_a_task_is_raised(n_threads, two_threads):
    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_together([fails, int], n_threads)
    assert torch.get_num_threads() == 2


def test_inside_one_thread_the_setting_is_one_and_comes_back(two_threads):
    with one_thread(blas=True):
        assert torch.get_num_threads() == 1
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_parts_draw_from_generators_that_follow_from_one():
    draws = [
        [
            torch.rand(2, generator=g)
            for g in parted(torch.Generator().manual_seed(3), 2)
        ]
        for _ in range(2)
    ]
    torch.testing.assert_close(*draws)
    assert not torch.equal(*draws[0])
    alone = torch.Generator()
    assert parted(alone, 1) == [alone]


def _noise(seed):
    return torch.Generator().manual_seed(seed)
