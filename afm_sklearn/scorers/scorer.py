"""What all scorers share."""

from __future__ import annotations


class Scorer:
    """What scikit-learn asks of every scorer."""

    def _accept_sample_weight(self) -> bool:
        # A dict of scorers is asked for this when sample weights are fitted.
        return False
