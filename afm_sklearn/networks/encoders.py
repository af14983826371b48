"""History encoders: a window of recent steps becomes one conditioning vector.

All are causal in time by construction: a window ends at the newest known step
and holds nothing later. Missing entries arrive filled, beside a flag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class StepEmbedding(nn.Module):
    """Embed every step of a window: lagged activity plus one branch a modality."""

    def __init__(
        self, n_lagged: int, groups: Mapping[str, Sequence[int]], hidden_dim: int
    ):
        super().__init__()
        self.n_lagged = n_lagged
        self.lagged = nn.Linear(n_lagged, hidden_dim)
        self.missing = nn.Linear(n_lagged, hidden_dim, bias=False)
        self.columns = [torch.as_tensor(list(g)) + n_lagged for g in groups.values()]
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Linear(2 * len(columns), hidden_dim),
                nn.SiLU(),
                nn.Linear(hidden_dim, hidden_dim),
            )
            for columns in groups.values()
        )

    def forward(self, x: Tensor, missing: Tensor) -> Tensor:
        """Map (n, L, c) values and missing flags to (n, L, hidden_dim)."""
        out = self.lagged(x[..., : self.n_lagged])
        out = out + self.missing(missing[..., : self.n_lagged])
        for columns, branch in zip(self.columns, self.branches, strict=True):
            out = out + branch(torch.cat([x[..., columns], missing[..., columns]], -1))
        return out


class _Convolution(nn.Module):
    """Dilated causal convolutions, read out at the newest step."""

    def __init__(self, length: int, hidden_dim: int, n_layers: int):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(hidden_dim, hidden_dim, 3, dilation=2**k) for k in range(n_layers)
        )

    def forward(self, h: Tensor) -> Tensor:
        h = h.transpose(1, 2)
        for k, layer in enumerate(self.layers):
            past = functional.pad(h, (2 * 2**k, 0))
            h = h + functional.silu(layer(past))
        return h[..., -1]


class _Recurrent(nn.Module):
    """GRU or LSTM, oldest step first, read out at the newest."""

    def __init__(
        self, kind: type[nn.GRU] | type[nn.LSTM], hidden_dim: int, n_layers: int
    ):
        super().__init__()
        self.rnn = kind(hidden_dim, hidden_dim, n_layers, batch_first=True)

    def forward(self, h: Tensor) -> Tensor:
        return self.rnn(h)[0][:, -1]


class _Transformer(nn.Module):
    """Self-attention with learned positions and a causal mask."""

    def __init__(self, length: int, hidden_dim: int, n_layers: int):
        super().__init__()
        heads = next(k for k in (4, 2, 1) if hidden_dim % k == 0)
        self.position = nn.Parameter(0.02 * torch.randn(length, hidden_dim))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                hidden_dim,
                heads,
                2 * hidden_dim,
                dropout=0.0,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(n_layers)
        )

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.position
        mask = nn.Transformer.generate_square_subsequent_mask(
            h.shape[1], device=h.device, dtype=h.dtype
        )
        for layer in self.layers:
            h = layer(h, src_mask=mask)
        return h[:, -1]


class _Perceptron(nn.Module):
    """One hidden layer over all steps at once."""

    def __init__(self, length: int, hidden_dim: int, n_layers: int):
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(length * hidden_dim, hidden_dim)]
        for _ in range(n_layers - 1):
            layers += [nn.SiLU(), nn.Linear(hidden_dim, hidden_dim)]
        self.layers = nn.Sequential(*layers)

    def forward(self, h: Tensor) -> Tensor:
        return self.layers(functional.silu(h).flatten(1))


def _temporal(name: str, length: int, hidden_dim: int, n_layers: int) -> nn.Module:
    if name == "conv":
        return _Convolution(length, hidden_dim, n_layers)
    if name == "gru":
        return _Recurrent(nn.GRU, hidden_dim, n_layers)
    if name == "lstm":
        return _Recurrent(nn.LSTM, hidden_dim, n_layers)
    if name == "transformer":
        return _Transformer(length, hidden_dim, n_layers)
    return _Perceptron(length, hidden_dim, n_layers)


HISTORY_ENCODERS = ("conv", "gru", "lstm", "transformer", "mlp")


class HistoryEncoder(nn.Module):
    """Encode a window at several time scales and fuse the encodings.

    At scale k the embedded steps are averaged over k steps, counted back from
    the newest; an oldest block that is not full averages the steps it has. The
    encodings, never samples, are fused by a linear map.
    """

    def __init__(
        self,
        name: str,
        *,
        n_lagged: int,
        groups: Mapping[str, Sequence[int]],
        length: int,
        scales: Sequence[int],
        hidden_dim: int,
        n_layers: int,
    ):
        super().__init__()
        self.scales = tuple(scales)
        self.embedding = StepEmbedding(n_lagged, groups, hidden_dim)
        self.temporal = nn.ModuleList(
            _temporal(name, -(-length // k), hidden_dim, n_layers) for k in self.scales
        )
        self.fuse = nn.Linear(len(self.scales) * hidden_dim, hidden_dim)

    def forward(self, x: Tensor, missing: Tensor) -> Tensor:
        """Map (n, L, c) values and missing flags to (n, hidden_dim)."""
        h = self.embedding(x, missing)
        codes = [
            temporal(_average_blocks(h, k))
            for k, temporal in zip(self.scales, self.temporal, strict=True)
        ]
        return self.fuse(functional.silu(torch.cat(codes, -1)))


def _average_blocks(h: Tensor, k: int) -> Tensor:
    """Average (n, L, w) over blocks of k steps, aligned to the newest step."""
    if k == 1:
        return h
    rest = h.shape[1] % k
    full = h[:, rest:].unflatten(1, (-1, k)).mean(2)
    if rest == 0:
        return full
    return torch.cat([h[:, :rest].mean(1, keepdim=True), full], 1)
