r"""Dependence between channels: the Gaussian copula of their normal scores.

Scores z have the law N(0, root root'). All densities are relative to independent
standard normal scores, so that they multiply the laws of the channels.

Counts have an interval of scores each, and a probability is an integral over a box.
The integral is split into one dimension after the other (Geweke 1991, Hajivassiliou
& Keane 1990): given the channels before it, a channel falls into its interval with a
known probability, and a node inside the interval goes on. Whatever the nodes are, the
probabilities of all outcomes sum to one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.special import ndtri

from ..compute import budget, row_parts
from .normal import MIN_MASS, in_double, log_interval, ndtr, score_inside

N_NODES = 32
# A shorter interval is a point: its probability is a density times its length.
SHORT = 1e-5
BLOCK = 32  # channels whose noise goes on to later ones together


def middle_score(low: Tensor, high: Tensor, share: Tensor | float = 0.5) -> Tensor:
    """Return the score at a share of the probability between low and high.

    Parameters
    ----------
    low, high : Tensor of any shape
        Ends of intervals of scores, within 12; equal ones come back as they are.
    share : Tensor of the same shape or float
        In [0, 1].

    Returns
    -------
    Tensor of the same shape

    Examples
    --------
    >>> middle_score(torch.tensor([-12.0]), torch.tensor([0.0]))
    tensor([-0.6745])
    """
    flip = torch.where(low + high > 0, -1.0, 1.0).to(low.dtype)
    a, b = ndtr(flip * low), ndtr(flip * high)  # the lower tail keeps its digits
    inside = torch.lerp(a, b, torch.as_tensor(share).to(a).expand_as(a))
    score = flip * ndtri(inside.clamp(MIN_MASS, 1.0 - torch.finfo(a.dtype).eps))
    return torch.where(low == high, low, score)


def log_copula(root: Tensor, z: Tensor) -> Tensor:
    """Log density (n,) of scores, relative to independent ones.

    Parameters
    ----------
    root : Tensor of shape (d, d)
        Lower triangular root of the correlation.
    z : Tensor of shape (n, d)
        What is missing (NaN) is marginalised.

    Returns
    -------
    Tensor of shape (n,)

    Examples
    --------
    >>> root = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    >>> log_copula(root, torch.tensor([[1.0, 1.0], [1.0, float("nan")]]))
    tensor([0.5981, 0.0000])
    """
    out = torch.zeros_like(z[:, 0])
    for rows, seen in _patterns(~torch.isnan(z)):
        if not len(seen):
            continue
        known = z[rows][:, seen]
        own = root if len(seen) == z.shape[1] else _reordered(root, seen)
        white = torch.linalg.solve_triangular(own, known.T, upper=False).T
        excess = known.square().sum(1) - white.square().sum(1)
        found = 0.5 * excess - own.diagonal().log().sum()
        out = out.index_put((rows,), found)
    return out


def log_box_copula(
    root: Tensor, low: Tensor, high: Tensor, n_nodes: int = N_NODES
) -> Tensor:
    """Log probability of boxes of scores, relative to independent scores.

    Parameters
    ----------
    root : Tensor of shape (d, d)
        Lower triangular root of the correlation.
    low, high : Tensor of shape (n, d)
        Ends of the intervals of scores. Where they are equal the density serves, and
        what is missing (NaN) is marginalised.
    n_nodes : int
        Nodes a row.

    Returns
    -------
    Tensor of shape (n,)

    Examples
    --------
    >>> root = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    >>> low, high = torch.tensor([[-12.0, -12.0]]), torch.tensor([[0.0, 0.0]])
    >>> exact = 0.25 + math.asin(0.6) / (2 * math.pi)
    >>> ratio = log_box_copula(root, low, high).exp()
    >>> bool((0.25 * ratio - exact).abs() < 0.001)
    True
    """
    if bool(((low == high) | torch.isnan(low)).all()):
        return log_copula(root, low)
    found = [low.new_zeros(0)]
    for rows in row_parts(len(low), 4 * n_nodes * low.shape[1], budget()):
        log_ratio, _ = box_nodes(root, low[rows], high[rows], n_nodes)
        found.append(torch.logsumexp(log_ratio, 1) - math.log(n_nodes))
    return torch.cat(found)


def box_nodes(
    root: Tensor, low: Tensor, high: Tensor, n_nodes: int = N_NODES
) -> tuple[Tensor, Tensor]:
    """Weighted scores inside boxes, whose mean weight is that of `log_box_copula`.

    Parameters
    ----------
    root, low, high, n_nodes
        As there.

    Returns
    -------
    log_ratio : Tensor of shape (n, n_nodes)
        Log weight of each node: integrals of the copula over a box are means of
        weights times what is to be integrated.
    z : Tensor of shape (n, n_nodes, d)
        Scores; those of missing channels are drawn given the others.
    """
    n, d = low.shape
    nodes = torch.quasirandom.SobolEngine(d, scramble=True, seed=0)
    share = nodes.draw(n_nodes, dtype=torch.float64)
    ends = torch.stack([low, high])
    log_ratio, z = low.new_zeros(n, n_nodes), low.new_zeros(n, n_nodes, d)
    for rows, seen in _patterns(~torch.isnan(low)):
        # What is missing comes last: it is drawn given the rest.
        every = torch.cat([seen, torch.arange(d, device=seen.device)]).tolist()
        order = torch.tensor(list(dict.fromkeys(every)), device=seen.device)
        own = in_double(root if len(seen) == d else _reordered(root, order))
        box = in_double(ends[:, rows][..., seen])
        ratios, scores = _sequence(own, box[0], box[1], share.to(box.device))
        log_ratio = log_ratio.index_put((rows,), ratios.to(low))
        back = scores.to(low)[..., order.argsort()]
        z = z.index_put((rows,), back)
    return log_ratio, z


def _sequence(
    root: Tensor, low: Tensor, high: Tensor, share: Tensor
) -> tuple[Tensor, Tensor]:
    """Go from channel to channel; of those beyond the last of `low` all is missing."""
    d, (n, n_seen) = len(root), low.shape
    log_ratio = low.new_zeros(n, len(share))
    noise = low.new_zeros(n, len(share), 0)
    for start in range(0, d, BLOCK):
        block = range(start, min(start + BLOCK, d))
        means = noise @ root[start : block.stop, :start].T
        own: list[Tensor] = []
        for k, j in enumerate(block):
            mean, scale = means[..., k], root[j, j]
            for i, drawn in enumerate(own):
                mean = mean + root[j, start + i] * drawn
            if j >= n_seen:
                own.append(ndtri(share[:, j].clamp(min=1e-9)).expand(n, -1))
                continue
            ends = low[:, j, None], high[:, j, None]
            gained, drawn = _enter(*ends, mean, scale, share[:, j])
            log_ratio = log_ratio + gained
            own.append(drawn)
        noise = torch.cat([noise, torch.stack(own, -1)], -1)
    return log_ratio, noise @ root.T


def _enter(
    low: Tensor, high: Tensor, mean: Tensor, scale: Tensor, share: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the log weight of one channel given those before it, and its noise."""
    is_point = high - low < SHORT
    # Both branches get numbers that are good for them.
    left, right = torch.where(is_point, -1.0, low), torch.where(is_point, 1.0, high)
    ends = (left - mean) / scale, (right - mean) / scale
    box = log_interval(*ends) - log_interval(left, right)
    at = 0.5 * (low + high)
    point = (at - mean) / scale
    density = 0.5 * (at.square() - point.square()) - scale.log()
    noise = torch.where(is_point, point, score_inside(*ends, share))
    return torch.where(is_point, density, box), noise


def _patterns(seen: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the rows and the channels of each pattern of seen (n, d)."""
    if bool(seen.all()):
        n, d = (torch.arange(size, device=seen.device) for size in seen.shape)
        return [(n, d)]
    patterns, which = torch.unique(seen, dim=0, return_inverse=True)
    return [
        ((which == k).nonzero()[:, 0], pattern.nonzero()[:, 0])
        for k, pattern in enumerate(patterns)
    ]


def _reordered(root: Tensor, channels: Tensor) -> Tensor:
    """Return the root of the correlation of some channels, in another order."""
    some = root[channels]
    return torch.linalg.cholesky(some @ some.T)
