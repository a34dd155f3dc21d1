"""Linear readouts of one factor and their scores on a scale where 0 is a constant and 1 the truth.

The usual protocol of linear probes (Alain and Bengio 2016, https://arxiv.org/abs/1610.01644): the code stays as it is,
features are standardised, and only the L2 penalty is chosen, on scenes of its own.
"""

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from evaluation.readouts.glimpses import Factor

RIDGE = tuple(10.0**p for p in range(-1, 6))
"""Penalties tried for numbers."""

LOGISTIC = tuple(10.0**p for p in range(-4, 2))
"""Inverse penalties tried for classes."""

FEWEST = 10
"""Scenes below which nothing is fitted or tested."""


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """A map, fitted on training features, to standardised ones of at most so many dimensions."""

    mean: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    components: PCA | None

    @classmethod
    def fit(cls, raw: Float[np.ndarray, "n d"], components: int) -> "Features":
        """Dimensions that do not vary are switched off; wider features are reduced to `components` principal ones."""
        mean, spread = raw.mean(0, dtype=np.float64), raw.std(0, dtype=np.float64)
        scale = np.where(spread > 1e-6 * np.maximum(1, np.abs(mean)), 1 / np.maximum(spread, 1e-12), 0.0)
        if raw.shape[1] <= components:
            return cls(mean, scale, None)
        pca = PCA(min(components, len(raw) - 1), whiten=True, svd_solver="randomized", random_state=0)
        return cls(mean, scale, pca.fit((raw - mean) * scale))

    def __call__(self, raw: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n e"]:
        """Standardised features of other scenes."""
        plain = (raw - self.mean) * self.scale
        return plain if self.components is None else self.components.transform(plain)


def readout(
    features: tuple[np.ndarray, np.ndarray], factor: tuple[Factor, Factor]
) -> Callable[[np.ndarray, Factor], tuple[float, ...] | None] | None:
    """Fit a readout and return what scores it.

    Args:
        features: Of the scenes fitted on and of those that choose the penalty; shapes (n, e) and (m, e).
        factor: The truth of both.

    Returns:
        A function of test features and their truth that gives (score, accuracy), the accuracy being None for numbers;
        or None where there is nothing to test: too few scenes, or the factor does not vary. None instead of the
        function where there is nothing to fit.
    """
    known = [f.known for f in factor]
    if min(k.sum() for k in known) < FEWEST or len(np.unique(factor[0].values[known[0]])) < 2:
        return None
    xs, ys = [x[k] for x, k in zip(features, known)], [f.values[k] for f, k in zip(factor, known)]
    return _classes(xs, ys) if factor[0].is_class else _numbers(xs, ys, factor[0].period)


def _numbers(xs, ys, period):
    fit, validate = (_targets(y, period) for y in ys)
    models = [Ridge(alpha=alpha).fit(xs[0], fit) for alpha in RIDGE]
    best = min(models, key=lambda model: np.square(model.predict(xs[1]).reshape(validate.shape) - validate).sum())

    def score(x: np.ndarray, factor: Factor) -> tuple[float, ...] | None:
        x, truth = x[factor.known], _targets(factor.values[factor.known], period)
        spread = np.square(truth - truth.mean(0)).sum()
        if len(truth) < FEWEST or spread < 1e-9 * len(truth):
            return None
        return (float(1 - np.square(best.predict(x).reshape(truth.shape) - truth).sum() / spread),)

    return score


def _targets(values: np.ndarray, period: float | None) -> Float[np.ndarray, "n t"]:
    """Columns to regress: the number itself, or the sine and cosine of one that returns to itself."""
    values = values.astype(np.float64)
    if period is None:
        return values[:, None]
    return np.stack([np.sin(2 * np.pi * values / period), np.cos(2 * np.pi * values / period)], -1)


def _classes(xs, ys):
    with warnings.catch_warnings():
        # A weakly penalised fit of separable classes creeps on for ever; where it stops is good enough to be compared.
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = [LogisticRegression(C=c, max_iter=150).fit(xs[0], ys[0]) for c in LOGISTIC]
    best = max(models, key=lambda model: model.score(xs[1], ys[1]))

    def score(x: np.ndarray, factor: Factor) -> tuple[float, ...] | None:
        kept = factor.known & np.isin(factor.values, best.classes_)
        if kept.sum() < FEWEST:
            return None
        truth = factor.values[kept]
        _, counts = np.unique(truth, return_counts=True)
        chance = float(counts.max() / len(truth))
        if chance == 1:
            return None
        accuracy = float((best.predict(x[kept]) == truth).mean())
        return (accuracy - chance) / (1 - chance), accuracy, chance

    return score
