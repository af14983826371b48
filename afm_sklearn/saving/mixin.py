"""Saving as methods of a forecaster."""

from __future__ import annotations

from typing import Any, Self

from .save import load, save


class Savable:
    """``save`` and ``load`` of a forecaster."""

    def save(self, path: Any) -> None:
        """Write the fitted forecaster to a file; see `afm_sklearn.save`.

        Parameters
        ----------
        path : path-like
        """
        save(self, path)

    @classmethod
    def load(cls, path: Any) -> Self:
        """Read a forecaster of this class; see `afm_sklearn.load`.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        forecaster

        Raises
        ------
        ValueError
            If the file holds none, is damaged, or is newer than this version.
        """
        loaded = load(path)
        if not isinstance(loaded, cls):
            raise ValueError(
                f"{path} must hold a forecaster of class {cls.__name__}, got "
                f"{type(loaded).__name__}"
            )
        return loaded
