"""History encoders: a window of recent steps becomes one conditioning vector.

All are causal in time by construction: a window ends at the newest known step
and holds nothing later. Missing entries arrive filled, beside a flag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..initial import UnitLinear


class StepEmbedding(nn.Module):
    """Embed steps: lagged activity plus one branch a modality of the stimulus.

    The embedding is of all steps together (`joint`) or of each alone. It is affine in
    the lagged activity, so that steps drawn later can be added to it.
    """

    def __init__(
        self,
        n_lagged: int,
        groups: Mapping[str, Sequence[int]],
        hidden_dim: int,
        n_steps: int,
        joint: bool,
    ):
        super().__init__()
        self.n_lagged, self.n_steps, self.joint = n_lagged, n_steps, joint
        width = n_steps if joint else 1
        self.lagged = UnitLinear(width * n_lagged, hidden_dim)
        self.missing = UnitLinear(width * n_lagged, hidden_dim, bias=False)
        self.columns = [[n_lagged + column for column in g] for g in groups.values()]
        self.modalities = nn.ModuleList(
            nn.Sequential(
                UnitLinear(2 * width * len(columns), hidden_dim),
                nn.SiLU(),
                UnitLinear(hidden_dim, hidden_dim),
            )
            for columns in groups.values()
        )

    def forward(self, x: Tensor, missing: Tensor | None) -> Tensor:
        """Map (n, L, c) values and flags to (n, L, hidden_dim) or (n, hidden_dim)."""
        out = self.lagged(self._join(x[..., : self.n_lagged]))
        if missing is not None:
            out = out + self.missing(self._join(missing[..., : self.n_lagged]))
        for columns, branch in zip(self.columns, self.modalities, strict=True):
            values = x[..., columns]
            flags = missing[..., columns] if missing is not None else 0 * values
            out = out + branch(self._join(torch.cat([values, flags], -1)))
        return out

    def of_drawn(self, steps: Tensor) -> Tensor:
        """Return what the newest steps (n, h, n_lagged) add, where they were zero."""
        steps = steps[:, -self.n_steps :]
        if self.joint:
            flat = steps.flatten(1)
            return functional.linear(flat, self.lagged.weight[:, -flat.shape[1] :])
        added = functional.linear(steps, self.lagged.weight)
        return functional.pad(added, (0, 0, self.n_steps - steps.shape[1], 0))

    def _join(self, steps: Tensor) -> Tensor:
        return steps.flatten(1) if self.joint else steps


class _Convolution(nn.Module):
    """Causal convolutions, kernel 3, dilation 3**k in layer k, read at the newest step.

    Only the positions that reach the newest step are computed: with this dilation
    they are the disjoint triples of the layer below, and a convolution is a linear
    map of each triple.
    """

    def __init__(self, hidden_dim: int, n_layers: int):
        super().__init__()
        self.reach = 3**n_layers
        self.layers = nn.ModuleList(
            nn.Linear(3 * hidden_dim, hidden_dim) for _ in range(n_layers)
        )

    def forward(self, h: Tensor) -> Tensor:
        h = functional.pad(h, (0, 0, self.reach - h.shape[1], 0))
        for layer in self.layers:
            triples = h.unflatten(1, (-1, 3))
            h = triples[:, :, -1] + functional.silu(layer(triples.flatten(2)))
        return h[:, 0]


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
        self.position = nn.Parameter(torch.empty(length, hidden_dim))
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
    """Residual layers over the embedding of all steps at once."""

    def __init__(self, hidden_dim: int, n_layers: int):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(hidden_dim, hidden_dim) for _ in range(n_layers - 1)
        )

    def forward(self, h: Tensor) -> Tensor:
        for layer in self.layers:
            h = h + layer(functional.silu(h))
        return h


def _body(name: str, length: int, hidden_dim: int, n_layers: int) -> nn.Module:
    if name == "mlp":
        return _Perceptron(hidden_dim, n_layers)
    if name == "conv":
        return _Convolution(hidden_dim, n_layers)
    if name == "gru":
        return _Recurrent(nn.GRU, hidden_dim, n_layers)
    if name == "lstm":
        return _Recurrent(nn.LSTM, hidden_dim, n_layers)
    return _Transformer(length, hidden_dim, n_layers)


LAG_DECAY = 2.0
HISTORY_ENCODERS = ("conv", "gru", "lstm", "transformer", "mlp")


class HistoryEncoder(nn.Module):
    """Encode a window at several time scales and fuse the encodings.

    At scale k the steps are averaged over k steps, counted back from the newest; an
    oldest block that is not full averages the steps it has. The encodings, never
    samples, are fused by a linear map.

    A step k back enters divided by k ** LAG_DECAY: as in the linear forecast, what
    lies further back matters less, unless the data insist.
    """

    embeddings: Any  # of StepEmbedding: lists of modules forget what they hold

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
        self.length = length
        self.embeddings, self.bodies = nn.ModuleList(), nn.ModuleList()
        for k in self.scales:
            steps = -(-length // k)
            if name == "conv":  # it looks no further back
                steps = min(steps, 3**n_layers)
            self.embeddings.append(
                StepEmbedding(n_lagged, groups, hidden_dim, steps, name == "mlp")
            )
            self.bodies.append(_body(name, steps, hidden_dim, n_layers))
        if len(self.scales) > 1:
            self.fuse: nn.Module = UnitLinear(len(self.scales) * hidden_dim, hidden_dim)
        else:
            self.fuse = nn.Identity()

    def forward(self, x: Tensor, missing: Tensor | None) -> Tensor:
        """Map the newest steps of (n, L, c) values and flags to (n, hidden_dim)."""
        return self.encode(self.embed(x, missing))

    def embed(self, x: Tensor, missing: Tensor | None) -> list[Tensor]:
        """Return the embedding of each scale: the part that is affine in activity."""
        x = x[:, -self.length :]
        weights = lag_weights(x)
        x = x * weights
        if missing is not None:
            missing = missing[:, -self.length :] * weights
        embedded = []
        for k, embedding in zip(self.scales, self.embeddings, strict=True):
            newest = slice(-embedding.n_steps, None)
            averages, flags = _average_blocks(x, k, self.length), None
            if missing is not None:
                flags = _average_blocks(missing, k, self.length)[:, newest]
            embedded.append(embedding(averages[:, newest], flags))
        return embedded

    def embed_drawn(self, steps: Tensor) -> list[Tensor]:
        """Return what the newest steps (n, h, n_lagged) add, where they were zero."""
        steps = steps[:, -self.length :]
        steps = steps * lag_weights(steps)
        embedded: list[Tensor] = []
        for k, embedding in zip(self.scales, self.embeddings, strict=True):
            averages = _average_blocks(steps, k, self.length)
            embedded.append(embedding.of_drawn(averages))
        return embedded

    def encode(self, embedded: Sequence[Tensor]) -> Tensor:
        """Map the embedding of each scale to one code (n, hidden_dim)."""
        codes = [body(h) for body, h in zip(self.bodies, embedded, strict=True)]
        return self.fuse(torch.cat(codes, -1))


def lag_weights(steps: Tensor) -> Tensor:
    """Weights (L, 1) of the newest steps (n, L, c), oldest first."""
    n_steps = steps.shape[1]
    lags = torch.arange(n_steps, 0, -1, device=steps.device, dtype=steps.dtype)
    return lags[:, None] ** -LAG_DECAY


def _average_blocks(h: Tensor, k: int, length: int) -> Tensor:
    """Average (n, L, w) over blocks of k steps, aligned to the newest step.

    They are the newest of `length` steps; the others are zero.
    """
    if k == 1:
        return h
    rest = h.shape[1] % k
    full = h[:, rest:].unflatten(1, (-1, k)).mean(2)
    if rest == 0:
        return full
    block = min(k, length - h.shape[1] + rest)
    oldest = h[:, :rest].sum(1, keepdim=True) / block
    return torch.cat([oldest, full], 1)
