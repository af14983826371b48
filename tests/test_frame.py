import pytest
import torch

from afm_sklearn.law.frame import Frame

D = torch.float64


def _frame(*, is_shifted=True, is_autoregressive=True, low=-3.0, high=3.0):
    """Two targets, one stimulus; targets in other units than their lags."""
    frame = Frame(3, 2, is_autoregressive=is_autoregressive, is_shifted=is_shifted)
    values = {
        "y_mean": [10.0, -1e8],
        "y_scale": [2.0, 5.0],
        "lag_scale": [0.5, 10.0],
        "lag_offset": [1.0, -1e8],
        "low": [low, low],
        "high": [high, high],
    }
    for name, value in values.items():
        getattr(frame, name).copy_(torch.tensor(value))
    # The lags have the moments of the targets, in their own units.
    mean = (frame.y_mean - frame.lag_offset) / frame.lag_scale
    frame.x_mean.copy_(torch.cat([mean, torch.tensor([7.0], dtype=D)]))
    scale = frame.y_scale / frame.lag_scale
    frame.x_scale.copy_(torch.cat([scale, torch.tensor([3.0], dtype=D)]))
    return frame


def _windows(u):
    """Windows whose lagged targets are u (n, L, 2) in standard units."""
    frame = _frame()
    return (
        torch.cat([u, torch.zeros_like(u[..., :1])], -1) * frame.x_scale + frame.x_mean
    )


def _noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def test_targets_and_their_units_are_inverse():
    frame, u = _frame(), _noise(4, 5, 2)
    y = frame.to_y(u)
    torch.testing.assert_close(y[..., 0], 10 + 2 * u[..., 0])
    torch.testing.assert_close(frame.to_u(y), u, atol=1e-7, rtol=0)


def test_standardised_windows_have_unit_scale_and_keep_their_gaps():
    u = _noise(4, 6, 2)
    u[1, 2, 0] = torch.nan
    x = _frame().standardize(_windows(u))
    torch.testing.assert_close(x[..., :2], u, equal_nan=True, atol=1e-6, rtol=0)
    assert (x[..., 2] == 0).all()


def test_a_target_becomes_the_lag_that_the_next_window_holds():
    frame, u = _frame(), _noise(5, 2)
    y = frame.to_y(u)
    lag = (y - frame.lag_offset) / frame.lag_scale
    standard = (lag - frame.x_mean[:2]) / frame.x_scale[:2]
    torch.testing.assert_close(frame.lag(u), standard, atol=1e-7, rtol=0)


def test_huge_inputs_stay_numbers():
    frame = _frame()
    x = frame.standardize(torch.full((1, 2, 3), 1e30, dtype=D))
    assert torch.isfinite(x.float().square()).all()
    s = frame.standardize_stimulus(torch.full((1, 1), -1e30, dtype=D))
    assert torch.isfinite(s.float().square()).all()


# -- other levels --------------------------------------------------------------


def test_windows_inside_the_training_range_are_not_shifted():
    assert _frame().shift(_windows(_noise(100, 5, 2).clamp(-3, 3))) is None


@pytest.mark.parametrize("jump", [20.0, -20.0, 1e4])
def test_a_window_at_another_level_is_moved_back_and_its_forecast_out(jump):
    frame, u = _frame(), 0.1 * _noise(3, 5, 2)
    u[1, :, 0] += jump
    windows = _windows(u)
    left = frame.has_left(windows)
    assert left.tolist() == [[False, False], [True, False], [False, False]]
    shift = frame.shift(windows)
    inside = frame.standardize(windows, shift)
    # Deviations from its level are what is left of it; the others stay.
    expected = u.clone()
    expected[1] -= u[1].mean(0)
    torch.testing.assert_close(inside[..., :2], expected, atol=1e-6, rtol=0)
    # A forecast of "the same as the newest step" is that in the units of y.
    y = frame.to_y(inside[:, -1, :2], shift)
    torch.testing.assert_close(y, frame.to_y(u[:, -1]), atol=1e-6, rtol=1e-12)
    draws = frame.to_y(inside[:, :, :2], shift)
    torch.testing.assert_close(draws, frame.to_y(u), atol=1e-6, rtol=1e-12)
    torch.testing.assert_close(
        frame.to_u(draws, shift), inside[..., :2], atol=1e-6, rtol=0
    )


def test_a_shift_follows_the_level_however_much_is_missing():
    u = 20 + 0.1 * _noise(1, 8, 2)
    u[0, 2:6] = torch.nan
    shift = _frame().shift(_windows(u))
    scale = _frame().x_scale[:2]
    torch.testing.assert_close(shift / scale, u.nanmean(1), atol=1e-6, rtol=0)


def test_a_window_without_any_observation_has_left_nothing():
    u = torch.full((2, 4, 2), torch.nan, dtype=D)
    assert _frame().shift(_windows(u)) is None


def test_counts_and_decoders_are_never_shifted():
    windows = _windows(20 + _noise(3, 5, 2))
    assert _frame(is_shifted=False).shift(windows) is None
    assert not _frame(is_autoregressive=False).has_left(windows).any()
    assert _frame(is_autoregressive=False).shift(windows) is None


def test_config_builds_the_same_frame():
    frame = _frame()
    twin = Frame(**frame.config())
    twin.load_state_dict(frame.state_dict())
    windows = _windows(_noise(3, 5, 2))
    assert torch.equal(twin.standardize(windows), frame.standardize(windows))
