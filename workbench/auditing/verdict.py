"""The rule that makes a verdict of figures. A pure function with all its thresholds in one place, so that it can be tested.

The rule goes from what would make other findings meaningless to what is left, and the first condition that holds names the
verdict; others that hold too are told besides. `docs/audit.md` gives each condition with its reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from workbench.audit import Kind, Strength, TaskFigures, Verdict
from workbench.comparison import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where the rule draws its lines. Shares are of the Hit@1 above chance that an edit costs."""

    least_samples: float = 20
    """Ranked samples below which nothing is said."""
    least_quality: float = 0.1
    """Hit@1 above chance below which the unedited model ranks too badly to lose anything."""
    used: float = 0.5
    """Share lost with other thoughts from which on, with its interval above `some`, the thoughts count as used; hiding them
    must then cost at least `some`, or the embedding only lets itself be misled by thoughts that it does not need."""
    some: float = 0.25
    nothing: float = 0.1
    """Upper end of the interval of a share lost below which an edit costs nothing."""
    nothing_of_a_task: float = 0.15
    """The same for one task, which has fewer samples."""
    missed: float = 0.02
    """Share that a thought by itself must cost, with its interval above 0, to be named as missed."""
    one_carries: float = 0.8
    """Part of the loss of all thoughts that one by itself must cost, and that it must keep when all others go."""
    others_carry: float = 0.2
    """Part of that loss that no other may cost by itself."""
    collapsed_spread: float = 0.01
    """Variance over samples, as a share of the squared length, below which all samples think the same, at every layer."""
    image_share: float = 0.05
    """Share of the thoughts' variance by image, alone and together with the query, below which they are blind to it."""
    depends: float = 0.05
    """Nats per token by which the own text must be likelier under the own thoughts to depend on them."""
    specific: float = 0.2
    """Nats per token by which the own text must be likelier than another sample's, for the decoder to say something at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the rule looks at."""

    hit_at_1: Estimate | None
    chance: float
    """Hit@1 of a random order."""
    shares: Mapping[str, Estimate]
    """By edit, as in `Audit.shares`, of all edits."""
    hits: Mapping[str, Estimate]
    """Hit@1 under each edit."""
    n_think: int
    spreads: Sequence[float]
    """Of each layer that somebody reads."""
    image_shares: Sequence[float]
    """Variance by image, alone and with the query, as a share of what is not by position; empty where not tested."""
    query_shares: Sequence[float]
    thought_dependence: Estimate | None
    image_dependence: Estimate | None
    text_specificity: Estimate | None
    writes: bool
    tasks: Sequence[TaskFigures] = field(default=())


def judge(found: Findings, at: Thresholds = Thresholds()) -> Verdict:
    """The verdict on these findings."""
    held: list[Kind] = [kind for kind, holds in _conditions(found, at) if holds]
    kind: Kind = held[0] if held else "partly"
    return Verdict(
        kind=kind,
        sentence=tell(kind, found, at),
        strength=_strength(kind, found, at),
        evidence=tuple(_evidence(found)),
        also=tuple(held[1:]),
    )


def thresholds_json(at: Thresholds = Thresholds()) -> dict[str, float]:
    """The lines that were drawn."""
    return asdict(at)


def carriers(found: Findings, at: Thresholds = Thresholds()) -> list[int]:
    """Thoughts, from 1, whose loss by itself is sure to be more than nothing."""
    return [
        k
        for k in range(1, found.n_think + 1)
        if _low(found, f"mean.{k}") > 0 and _value(found, f"mean.{k}") > at.missed
    ]


def loss(shares: Mapping[str, Estimate]) -> Estimate | None:
    """What the content of all thoughts is worth: the larger of the losses when it is replaced by the mean or by another's.

    None where no other sample's thoughts could be put in: the mean may then be the thought itself.
    """
    known = [shares[name] for name in ("mean.all", "swap-random.all") if name in shares]
    return max(known, key=lambda one: one.value) if "swap-random.all" in shares else None


def _conditions(found: Findings, at: Thresholds) -> Iterator[tuple[Kind, bool]]:
    hits = found.hit_at_1
    enough = hits is not None and hits.n >= at.least_samples and hits.value - found.chance >= at.least_quality
    yield "inconclusive", not enough or loss(found.shares) is None
    yield "collapsed", bool(found.spreads) and max(found.spreads) < at.collapsed_spread
    yield "decoder_guesses", _guesses(found, at)
    yield "image_blind", _is_blind(found, at)
    yield "task_dependent", bool(_tasks(found, at, "used")) and bool(_tasks(found, at, "unused"))
    yield "one_token", _single(found, at) is not None
    yield "used", is_used(found.shares, at)
    yield "decorative", _is_nothing(found, at)


def is_used(shares: Mapping[str, Estimate], at: Thresholds) -> bool:
    """Whether these losses mean that the thoughts are needed."""
    share, hidden = loss(shares), shares.get("hide.all")
    enough = share is not None and share.value >= at.used and share.low >= at.some
    return enough and hidden is not None and hidden.value >= at.some


def _is_nothing(found: Findings, at: Thresholds) -> bool:
    share = loss(found.shares)
    return share is not None and share.high <= at.nothing


def _guesses(found: Findings, at: Thresholds) -> bool:
    """It tells samples apart, but just as well from another sample's thoughts."""
    if not found.writes or found.thought_dependence is None or found.text_specificity is None:
        return False
    return found.thought_dependence.high <= at.depends and found.text_specificity.low >= at.specific


def _is_blind(found: Findings, at: Thresholds) -> bool:
    """Another image changes neither the thoughts nor what comes of them, though another query does."""
    if (
        not found.image_shares
        or max(found.image_shares) > at.image_share
        or max(found.query_shares) < 1 - at.image_share
    ):
        return False
    swapped = found.shares.get("swap-image.all")
    said = found.image_dependence
    return (swapped is None or swapped.high <= at.nothing) and (said is None or said.high <= at.depends)


def _tasks(found: Findings, at: Thresholds, which: str) -> list[str]:
    told = []
    for task in found.tasks:
        share = loss(task.shares)
        if share is None or task.n < at.least_samples:
            continue
        if which == "used" and is_used(task.shares, at):
            told.append(task.task)
        if which == "unused" and share.high <= at.nothing_of_a_task:
            told.append(task.task)
    return told


def _single(found: Findings, at: Thresholds) -> int | None:
    """The thought, from 1, that alone carries what all carry."""
    whole = found.shares.get("mean.all")
    if found.n_think < 2 or whole is None or whole.low < at.some:
        return None
    alone = {k: _value(found, f"mean.{k}") for k in range(1, found.n_think + 1)}
    best = max(alone, key=lambda k: alone[k])
    rest = [share for k, share in alone.items() if k != best]
    kept = _value(found, f"keep-only.{best}")
    carries = alone[best] >= at.one_carries * whole.value and kept <= (1 - at.one_carries) * whole.value
    return best if carries and max(rest) <= at.others_carry * whole.value else None


def _value(found: Findings, name: str) -> float:
    return found.shares[name].value if name in found.shares else 0.0


def _low(found: Findings, name: str) -> float:
    return found.shares[name].low if name in found.shares else 0.0


def _strength(kind: Kind, found: Findings, at: Thresholds) -> Strength:
    """Strong where the deciding interval keeps clear of the lines, weak where it touches one."""
    share = loss(found.shares)
    if kind == "inconclusive" or share is None:
        return "weak"
    if kind == "collapsed":
        return "strong" if max(found.spreads) < at.collapsed_spread / 10 else "moderate"
    if kind == "decoder_guesses" and found.thought_dependence is not None:
        return "strong" if found.thought_dependence.high < at.depends / 2 else "moderate"
    if kind == "image_blind":
        return "strong" if max(found.image_shares) < at.image_share / 2 else "moderate"
    if kind == "decorative":
        return "strong" if share.high < at.nothing / 2 else "moderate"
    if kind == "partly":
        clear = share.low > at.nothing and share.high < at.used
        return "moderate" if clear else "weak"
    return "strong" if share.low >= at.used else "moderate"


def tell(kind: Kind, found: Findings, at: Thresholds) -> str:
    """The verdict in one sentence."""
    if kind == "inconclusive":
        return f"Nothing can be said: {_why_not(found, at)}."
    drop = _drop(found)
    single = _single(found, at)
    sentences: dict[Kind, str] = {
        "collapsed": f"The thoughts have collapsed: every sample thinks the same, whatever query and image are; {drop}.",
        "decoder_guesses": "The decoded text does not come from the thoughts: the decoder writes it from the query, and "
        f"another sample's thoughts change nothing; {drop}.",
        "image_blind": f"The thoughts copy the query and do not see the image: another image leaves them as they are; {drop}.",
        "task_dependent": f"The thoughts are used for {_list(_tasks(found, at, 'used'))} and not for "
        f"{_list(_tasks(found, at, 'unused'))}; {drop}.",
        "one_token": f"Thought {single} alone carries the answer, the other {found.n_think - 1} can go; {drop}.",
        "used": f"The embedding needs the thoughts: {drop}{_who(found, at)}.",
        "decorative": f"The thoughts are decoration: the ranking is the same without what they hold; {drop}.",
        "partly": f"The embedding uses the thoughts in part: {drop}{_who(found, at)}{_misled(found)}.",
    }
    return sentences[kind] + _text_part(kind, found, at)


def _why_not(found: Findings, at: Thresholds) -> str:
    hits = found.hit_at_1
    if hits is None:
        return "no sample has a right candidate that is ranked, so there is no ranking that an edit could change"
    if hits.n < at.least_samples:
        return f"only {hits.n} samples have a ranked right candidate, and {at.least_samples:.0f} are the least"
    if hits.value - found.chance < at.least_quality:
        return (
            f"the unedited model ranks hardly better than chance (Hit@1 {hits.value:.3f}, chance "
            f"{found.chance:.3f}), so no edit can cost anything"
        )
    return "no two samples have different right candidates, so there are no other thoughts to put in"


def _drop(found: Findings) -> str:
    """What putting the mean, another's thoughts, and nothing in their place does to Hit@1."""
    before = "" if found.hit_at_1 is None else f"{found.hit_at_1.value:.2f}"
    names = {"swap-random.all": "with another sample's thoughts", "hide.all": "with all of them hidden"}
    parts = [f"{_figure(found.hits[name])} {how}" for name, how in names.items() if name in found.hits]
    return f"Hit@1 is {before} with the own thoughts, {' and '.join(parts)}"


def _who(found: Findings, at: Thresholds) -> str:
    if found.n_think < 2:
        return ""
    some = carriers(found, at)
    if not some:
        return "; no single thought is missed by itself"
    if len(some) == found.n_think:
        return "; every one of them costs something by itself"
    many = len(some) > 1
    return (
        f"; thought{'s' if many else ''} {_list([str(k) for k in some])} {'cost' if many else 'costs'} something by "
        + ("themselves" if many else "itself")
    )


def _misled(found: Findings) -> str:
    swapped, hidden = found.shares.get("swap-random.all"), found.shares.get("hide.all")
    if swapped is None or hidden is None or hidden.high >= swapped.low:
        return ""
    return "; wrong thoughts mislead it more than it misses its own"


def _text_part(kind: Kind, found: Findings, at: Thresholds) -> str:
    if kind in ("collapsed", "decoder_guesses") or not found.writes or found.thought_dependence is None:
        return ""
    if found.image_dependence is None:
        said = "depends" if found.thought_dependence.low > at.depends else "does not clearly depend"
        return f" The decoded text {said} on the thoughts."
    said = "depends" if found.image_dependence.low > at.depends else "does not clearly depend"
    return f" The decoded text {said} on the image through the thoughts."


def _evidence(found: Findings) -> Iterator[str]:
    for name, what in (
        ("mean.all", "the mean thought in place of every thought"),
        ("swap-random.all", "another sample's thoughts"),
        ("swap-image.all", "thoughts of the same query about another image"),
        ("hide.all", "all thoughts hidden from the embedding"),
        ("control.all", "as many positions of the query hidden (control)"),
    ):
        if name in found.shares:
            yield f"With {what} {_figure(found.shares[name], percent=True)} of the Hit@1 above chance is lost."
    if found.spreads:
        yield f"Over samples the thoughts vary by at most {max(found.spreads):.1%} of their squared length."
    if found.image_shares:
        yield f"Of what varies between samples, image and query with image explain at most {max(found.image_shares):.1%}."
    for name, what in (
        (found.thought_dependence, "another sample's thoughts"),
        (found.image_dependence, "thoughts about another image"),
    ):
        if name is not None:
            yield f"The decoded text is less likely by {_figure(name)} nats per token under {what}."


def _figure(found: Estimate, *, percent: bool = False) -> str:
    if percent:
        return f"{found.value:.0%} [{found.low:.0%}, {found.high:.0%}]"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _list(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))
