"""Tiers: what a test is to those who are tested, derived from what they saw and never typed in.

    in distribution             the policy trained on this very split, and the encoder saw such scenes
    fresh seeds                 another split's draws of what both saw
    partly seen                 some scenes were seen and some were not; nothing else was claimed
    new to the policy only      the encoder saw such scenes, the policy did not
    new to the encoder only     the policy did, the encoder did not

and where neither saw any, the narrowest of

    nuisance                    but for factors that are none of the task's business, both saw such scenes
    dynamics                    but for factors of how things move, both did
    more objects                but for the number of objects, which is larger, both did
    recombination               both saw every value of every factor, but not this combination
    new to the encoder too      else

`other simulator` stands above all: there the factors are not all that differs.

Everything is computed from the supports: unions of products, so that "inside", "outside" and "partly" are exact, and a
marginal decides whether a single value was ever seen.

Why nobody's data is the policy's data: where no encoder was trained beforehand (`pixels`, `state`, `untrained`), whatever
stands in its place has seen what the policy sees, or nothing at all. So a test has one tier for such a policy and for one
whose encoder was trained on the policy's own split, and a column of a table has one meaning.
"""

import dataclasses
import itertools
from collections.abc import Sequence

from scenes.factors.distributions import Distribution
from scenes.factors.splits import Split, excess, overlap, spell
from scenes.kit import errors

IN_DISTRIBUTION, FRESH_SEEDS, PARTLY_SEEN = "in distribution", "fresh seeds", "partly seen"
NEW_TO_POLICY, NEW_TO_ENCODER = "new to the policy only", "new to the encoder only"
NUISANCE, DYNAMICS, MORE_OBJECTS = "nuisance", "dynamics", "more objects"
RECOMBINATION, NEW_TO_BOTH = "recombination", "new to the encoder too"
OTHER_SIMULATOR = "other simulator"

TIERS = (
    IN_DISTRIBUTION,
    FRESH_SEEDS,
    PARTLY_SEEN,
    NEW_TO_ENCODER,
    NEW_TO_POLICY,
    NUISANCE,
    DYNAMICS,
    MORE_OBJECTS,
    RECOMBINATION,
    NEW_TO_BOTH,
    OTHER_SIMULATOR,
)
"""Every tier, roughly from near to far."""
SEEN = (IN_DISTRIBUTION, FRESH_SEEDS, PARTLY_SEEN, NEW_TO_ENCODER)
"""Those of which the policy had met scenes."""


@dataclasses.dataclass(frozen=True)
class Tier:
    """What a test is to those who are tested."""

    name: str
    """One of `TIERS`."""
    factors: tuple[str, ...] = ()
    """Those that set the test apart from what was trained on: in a recombination the fewest whose combination was never
    seen, else all of which a value was not; none where everything was."""


def tier(
    encoder: Split | None,
    policy: Split,
    test: Split,
    nuisance: Sequence[str] = (),
    dynamics: Sequence[str] = (),
    other_simulator: bool = False,
    train: str = "train",
) -> Tier:
    """What `test` is to a policy that trained on one split, seeing through an encoder that was trained on another.

    Args:
        encoder: None where no encoder was trained beforehand.
        policy: What the policy (or readout) trained on.
        test: What it is tested on.
        nuisance: Factors that are none of the task's business.
        dynamics: Factors of how things move.
        other_simulator: Whether the test runs in another simulator than the training.
        train: Name of the split that claims no novelty although it is in distribution of none.

    Raises:
        errors.CaveError: a leak: the test claims to be a condition of its own, and some of its scenes were trained on;
            factor and witness are named.
    """
    told = {"policy": policy, "encoder": encoder or policy}
    where = {who: _where(test, seen) for who, seen in told.items()}
    partly = [who for who, place in where.items() if place == "partly"]
    if partly and test.in_distribution_of is None and test.name != train:
        raise _leak(partly[0], told[partly[0]], test)
    apart = tuple(dict.fromkeys(f for who in told if where[who] != "inside" for f in differing(test, told[who])))
    if other_simulator:
        return Tier(OTHER_SIMULATOR, apart)
    if partly:
        return Tier(PARTLY_SEEN, apart)
    match where["policy"], where["encoder"]:
        case "inside", "inside":
            return Tier(IN_DISTRIBUTION if test.name == policy.name else FRESH_SEEDS)
        case "outside", "inside":
            return Tier(NEW_TO_POLICY, apart)
        case "inside", "outside":
            return Tier(NEW_TO_ENCODER, apart)
    kinds = {_kind(test, seen, nuisance, dynamics) for seen in told.values()}
    return Tier(kinds.pop() if len(kinds) == 1 else NEW_TO_BOTH, apart)


def novelty(test: Split, seen: Split) -> dict[str, Distribution]:
    """Values of single factors that `test` can draw and `seen` never does: factor -> distribution of that factor alone."""
    new = {}
    for mine, other in zip(_parts(test), _parts(seen)):
        for name in mine.names:
            beyond = mine.marginal(name) - other.marginal(name)
            if not beyond.is_empty():
                new[name] = beyond
    return new


def differing(test: Split, seen: Split) -> tuple[str, ...]:
    """Factors that set `test`, which is not inside `seen`, apart from it.

    Those with values that were never seen; if there are none, the fewest whose joint values were not.
    """
    if new := novelty(test, seen):
        return tuple(new)
    pairs = list(zip(_parts(test), _parts(seen)))
    # What one object at least is, against any that was seen; and against what one was at least.
    pairs += [(_demanded(test), pairs[-1][1]), (_demanded(test), _demanded(seen))]
    widest = max(len(mine.names) for mine, _ in pairs)
    # Where scenes are shared, so are the joint values of any factors, and to look at all combinations would take years.
    ways = (True, False) if overlap(test, seen) is None else (False,)
    for disjoint, n in itertools.product(ways, range(2, widest + 1)):
        for mine, other in pairs:
            for names in itertools.combinations(mine.names, n):
                a, b = mine.onto(*names), other.onto(*names)
                if (a & b).is_empty() if disjoint else not a.within(b):
                    return names
    return test.novel


def _parts(split: Split) -> tuple[Distribution, Distribution, Distribution]:
    """What a split can draw: of the scene, how many objects, and of each of those."""
    objects = split.objects
    most = max(objects.count.values, default=0)
    each = objects.each - objects.each if not most else _demanded(split) if most == 1 else objects.each
    counts = Distribution(("n_objects",), ((objects.count,),), (objects.count.volume,))
    return split.scene, counts, each


def _demanded(split: Split) -> Distribution:
    """What one object at least is, of a split that has any."""
    objects = split.objects
    return objects.each if objects.some is None else objects.each & objects.some


def _where(test: Split, seen: Split) -> str:
    if excess(test, seen) is None:
        return "inside"
    return "outside" if overlap(test, seen) is None else "partly"


def _kind(test: Split, seen: Split, nuisance: Sequence[str], dynamics: Sequence[str]) -> str:
    """The narrowest word for a test of which nothing was seen."""
    for name, factors in ((NUISANCE, nuisance), (DYNAMICS, dynamics)):
        if factors and excess(_without(test, factors), _without(seen, factors)) is None:
            return name
    most = max(seen.objects.count.values, default=0)
    # Of one count both ways only what the objects are is compared.
    larger = min(test.objects.count.values) > most > 0
    if larger and test.scene.within(seen.scene) and test.objects.grown_from(seen.objects):
        return MORE_OBJECTS
    return NEW_TO_BOTH if novelty(test, seen) else RECOMBINATION


def _without(split: Split, factors: Sequence[str]) -> Split:
    """The same, of all factors but some."""
    return dataclasses.replace(split, scene=split.scene.without(factors), objects=split.objects.without(factors))


def _leak(who: str, seen: Split, test: Split) -> errors.CaveError:
    witness = overlap(test, seen)
    first = test.novel or differing(test, seen)
    return errors.CaveError(
        f"split {test.name!r} leaks: it claims to be new, but the {who} trained on {seen.name!r}, which can draw its "
        f"{spell(witness, first)} too; test on another split, or train on one that it does not overlap",
        errors.USAGE,
    )
