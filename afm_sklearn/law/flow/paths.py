r"""Probability paths: how a noise draw z0 is deformed into a data point z1.

A path is ``z_t = alpha(t) z0 + sigma(t) z1`` with time running from t = 0
(noise) to t = 1 (data), in training and in sampling alike. Its velocity
``dz_t / dt`` is the regression target of flow matching.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor


class Path(Protocol):
    """A deterministic interpolation between noise and data."""

    def interpolate(self, z0: Tensor, z1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``z_t`` and its velocity ``dz_t / dt``."""
        ...


class LinearPath:
    r"""The straight (optimal-transport) path ``z_t = (1 - t) z0 + t z1``.

    Its velocity is ``z1 - z0`` (Lipman et al., arXiv 2210.02747).
    """

    def interpolate(self, z0: Tensor, z1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``z_t`` and ``z1 - z0``."""
        return torch.lerp(z0, z1, t), z1 - z0


class TrigonometricPath:
    r"""The variance-preserving path ``z_t = cos(a) z0 + sin(a) z1``, a = pi t / 2.

    When z0 and z1 are independent draws of one Gaussian, the conditional mean
    of its velocity is zero everywhere: a flow that starts at zero starts at the
    exact answer (Albergo & Vanden-Eijnden, arXiv 2209.15571).
    """

    def interpolate(self, z0: Tensor, z1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``z_t`` and ``(pi / 2) (cos(a) z1 - sin(a) z0)``."""
        angle = t * (math.pi / 2)
        cos, sin = torch.cos(angle), torch.sin(angle)
        return cos * z0 + sin * z1, (math.pi / 2) * (cos * z1 - sin * z0)


PATHS: dict[str, type[Path]] = {
    "linear": LinearPath,
    "trigonometric": TrigonometricPath,
}
