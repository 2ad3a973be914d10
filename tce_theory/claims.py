"""The claims of the paper that TCE comes from (ForTIFAI, arXiv 2509.08972), held against what this library finds.

A claim is probed in settings for which theory says beforehand what to expect: where TCE should do well, where it should
do nothing, and where harm. A probe is a command of the command line and the place of a number in its JSON, so that what
is shown is what a reader gets. Verdicts are not written down anywhere: they follow from the numbers (`judge`,
`verdict`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from scipy.special import ndtri

from tce_theory.errors import DomainError

__all__ = [
    "CLAIMS",
    "NOTES",
    "UNTESTED",
    "Claim",
    "Finding",
    "Probe",
    "Report",
    "evaluate",
    "judge",
    "judge_study",
    "named",
    "verdict",
]

YES = "yes"
SHORT = "short of it"
NONE = "no effect"
HARM = "harm"
NO = "no"
UNDECIDED = "undecided"
UNTESTED = "not tested yet"
OUTCOMES = (YES, SHORT, NONE, HARM, NO, UNDECIDED, UNTESTED)
"""What a finding can say to a claim."""

NOTES = (
    "“As far off”, “as large”: as far from generation 0 as under cross entropy when half of its runs have failed in "
    "the metric before.",
    "“≥”: some runs outlast the horizon under TCE, so that with a longer one the factor could only be larger.",
    "Networks are those of the replication study, which was run once and is recorded with the library: its intervals "
    "hold together with 95 %.",
    "The text is that of Python's help topics, which differ a little from version to version.",
    "Settings are chosen for contrast, so that how many of them are for a claim is no frequency.",
)
"""What a reader of findings has to know."""

_MARGIN = 0.1
"""No effect: the whole interval of a factor within this share of 1, as on the maps."""
_ROUNDING = 1e-8
_LEVEL = 0.95
_MOST_CENSORED = 0.5
_RECORD = "tce report"  # prints the studies that were recorded: to run them takes more than an hour

Ask = Callable[[str], Mapping[str, Any]]
"""Runs a command, as one types it, and returns what it prints with ``--json``."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A number that a claim says something of, where to find it, and what theory expects.

    Attributes
    ----------
    where : str
        The setting.
    measured : str
        What is measured there.
    expected : str
        What theory says beforehand: one of `OUTCOMES`.
    because : str
        Why.
    slug : str or None
        The theorem behind the reason.
    command : str
        As one types it, less ``--json``; empty if this has not been tested.
    path : str
        Place in the command's JSON, of a number or an extension factor: keys, indices and ``key=value`` (the entry of a
        list that has it; several with & between them), with slashes between them.
    asks : str
        "above": the claim holds here if the number is above `bar`; "equal": if it is `bar`; "not above".
    bar : float
    """

    where: str
    measured: str
    expected: str
    because: str
    slug: str | None = None
    command: str = ""
    path: str = "factor"
    asks: str = "above"
    bar: float = 1.0

    @property
    def name(self) -> str:
        """The setting and what is measured there."""
        return f"{self.where}: {self.measured}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of the source.

    Attributes
    ----------
    name : str
        By which `tce claims` knows it.
    statement : str
        In this library's words.
    place : str
        Where the source makes it.
    reading : str
        What a number has to be for the claim to hold.
    probes : tuple of Probe
    """

    name: str
    statement: str
    place: str
    reading: str
    probes: tuple[Probe, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found at a probe.

    Attributes
    ----------
    probe : Probe
    outcome : str
        One of `OUTCOMES`.
    number, low, high : float or None
        The number and its 95 % interval, which is the number itself if that is not simulated. None if not tested.
    kind : str
        "simulated", "studied" (of a recorded study, whose intervals hold together), "exact", or how firmly a closed
        form is known ("diffusion limit").
    is_lower_bound : bool
        Whether a longer horizon could only make the number larger.
    horizon : float or None
        The generation to which means are restricted, where a longer one could make the number larger or smaller.
    """

    probe: Probe
    outcome: str
    number: float | None = None
    low: float | None = None
    high: float | None = None
    kind: str = ""
    is_lower_bound: bool = False
    horizon: float | None = None

    @property
    def name(self) -> str:
        """The setting, what is measured there, and the horizon if it matters."""
        return self.probe.name + ("" if self.horizon is None else f" (within {self.horizon:,.0f} generations)")

    @property
    def shown(self) -> str:
        """The number to three digits, with its interval, or what it is if it is not simulated."""
        if self.number is None or self.low is None or self.high is None:
            return "–"
        bound = "≥ " if self.is_lower_bound else ""
        number = f"{bound}{_digits(self.number)}"
        if self.kind not in ("simulated", "studied"):
            return f"{number} {self.kind}"
        return f"{number} [{_digits(self.low)}, {_digits(self.high)}]"

    @property
    def is_as_expected(self) -> bool:
        """Whether the outcome is what theory says."""
        return self.outcome == self.probe.expected


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings, claim by claim.

    Attributes
    ----------
    claims : tuple of Claim
    findings : dict
        From the name of a claim to the tuple of its findings.
    """

    claims: tuple[Claim, ...]
    findings: dict[str, tuple[Finding, ...]]

    def verdict(self, claim: Claim) -> str:
        """Return what the findings say of a claim together (see the function `verdict`)."""
        return verdict(self.findings[claim.name])

    def conditions(self, claim: Claim) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Return where a claim holds, where it does not, and where nothing is known."""
        found: tuple[list[str], list[str], list[str]] = ([], [], [])
        for item in self.findings[claim.name]:
            group = 0 if item.outcome == YES else 2 if item.outcome in (UNDECIDED, UNTESTED) else 1
            text = item.name if item.outcome in (YES, UNTESTED) else f"{item.name} ({item.outcome})"
            found[group].append(text)
        return tuple(found[0]), tuple(found[1]), tuple(found[2])

    @property
    def summary(self) -> tuple[str, ...]:
        """Say how predictions fared, and how many outcomes are open to chance."""
        every = [item for items in self.findings.values() for item in items]
        tested = [item for item in every if item.outcome != UNTESTED]
        expected = [item for item in tested if item.is_as_expected]
        simulated = [item for item in tested if item.kind == "simulated"]
        shaky = self.shaky
        lines = [
            f"{len(tested)} findings, {len(expected)} of them as expected. {len(simulated)} are simulated; their "
            "intervals hold with 95 % each by itself.",
        ]
        if simulated:
            lines.append(
                f"With intervals so wide that all {len(simulated)} hold together with 95 % (Bonferroni, on the "
                f"logarithmic scale), {len(shaky) or 'none'} of the outcomes would be another one"
                + (": " + "; ".join(item.name for item in shaky) if shaky else "")
                + "."
            )
        return tuple(lines)

    @property
    def shaky(self) -> tuple[Finding, ...]:
        """The simulated findings whose outcome changes if all intervals are to hold together."""
        every = [item for items in self.findings.values() for item in items if item.kind == "simulated"]
        if not every:
            return ()
        stretch = float(ndtri(1 - (1 - _LEVEL) / (2 * len(every))) / ndtri((1 + _LEVEL) / 2))
        return tuple(item for item in every if _outcome_if_wider(item, stretch) != item.outcome)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it in JSON's types (but for infinities)."""
        return {"claims": [self._claim(claim) for claim in self.claims], "summary": list(self.summary)}

    def _claim(self, claim: Claim) -> dict[str, Any]:
        found = []
        for item in self.findings[claim.name]:
            fields = asdict(item)
            probe = fields.pop("probe")
            found.append(probe | fields | {"shown": item.shown})
        holds, fails, open_ = self.conditions(claim)
        return {
            "name": claim.name,
            "statement": claim.statement,
            "place": claim.place,
            "reading": claim.reading,
            "verdict": self.verdict(claim),
            "holds": list(holds),
            "does_not_hold": list(fails),
            "open": list(open_),
            "findings": found,
        }


def evaluate(ask: Ask, claims: Sequence[Claim] | None = None, tell: Callable[[str], None] | None = None) -> Report:
    """Run the commands of claims, each once, and judge what they say.

    Parameters
    ----------
    ask : callable
        Runs a command, as one types it, and returns what it prints with ``--json``.
    claims : sequence of Claim, optional
        Those of `CLAIMS` if not given.
    tell : callable, optional
        Is told what is being run.

    Returns
    -------
    Report

    Examples
    --------
    >>> probe = Probe(where="a coin", measured="until it is known", expected="yes", because="it is", command="tce toss")
    >>> claim = Claim(name="toss", statement="Tossing delays.", place="here", reading="above 1", probes=(probe,))
    >>> factor = {"ratio": 2.0, "low": 1.7, "high": 2.4, "is_lower_bound": False, "is_restricted": False}
    >>> report = evaluate(lambda command: {"factor": factor, "is_exact": False}, [claim])
    >>> report.verdict(claim), report.findings["toss"][0].shown
    ('holds', '2.00 [1.70, 2.40]')
    """
    wanted = tuple(CLAIMS if claims is None else claims)
    answers: dict[str, Mapping[str, Any]] = {}
    for probe in (probe for claim in wanted for probe in claim.probes):
        if probe.command and probe.command not in answers:
            if tell is not None:
                tell(probe.name)
            answers[probe.command] = ask(probe.command)
    found = {
        claim.name: tuple(_finding(probe, answers.get(probe.command)) for probe in claim.probes) for claim in wanted
    }
    return Report(claims=wanted, findings=found)


def named(names: Sequence[str]) -> tuple[Claim, ...]:
    """Return claims by their names.

    Raises
    ------
    DomainError
        If there is no such claim.

    Examples
    --------
    >>> [claim.name for claim in named(["factor"])]
    ['factor']
    """
    known = {claim.name: claim for claim in CLAIMS}
    for name in names:
        if name not in known:
            raise DomainError("claim", name, f"one of {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


def judge(asks: str, bar: float, low: float, high: float) -> str:
    """Return what an interval says to a claim.

    Parameters
    ----------
    asks : str
        What the claim asks of the number: "above" the bar, "equal" to it, or "not above" it.
    bar : float
    low, high : float
        Limits; the same for a number that is exact.

    Returns
    -------
    str
        If it is to be above the bar: "yes" if the interval is; else "harm" if it is below 1; "no effect" if it has 1 in
        it and is within a tenth of 1; and "short of it" if it is below the bar. Otherwise "yes" or "no". "undecided" if
        none of these is certain.

    Examples
    --------
    >>> [judge("above", 1, *limits) for limits in [(1.2, 1.9), (0.95, 1.04), (0.5, 0.8), (0.5, 2)]]
    ['yes', 'no effect', 'harm', 'undecided']
    >>> judge("above", 2.3, 1.2, 1.9), judge("above", 2.3, 2.4, 3.0), judge("equal", 0, -0.01, -0.01)
    ('short of it', 'yes', 'no')
    """
    over, under = low > bar + _ROUNDING, high < bar - _ROUNDING
    match asks:
        case "equal":
            is_certain = high - low <= _ROUNDING
            return NO if over or under else YES if is_certain else UNDECIDED
        case "not above":
            return NO if over else YES if high <= bar + _ROUNDING else UNDECIDED
    if over:
        return YES
    if high < 1 - _ROUNDING:
        return HARM
    if 1 - _MARGIN <= low <= 1 + _ROUNDING and high <= 1 / (1 - _MARGIN):
        return NONE
    return SHORT if under else UNDECIDED


def judge_study(asks: str, bar: float, factor: Mapping[str, Any]) -> str:
    """Return what a factor of a study says to a claim, as `judge` does of its limits.

    Where most of a side outlasts the horizon, nothing is known of what comes after it: a factor has no lower limit if
    that is the baseline, and no upper one if it is the condition, or the factor a lower bound.

    Parameters
    ----------
    asks : str
    bar : float
    factor : mapping
        "ratio" (None if there is none), "low", "high", "is_lower_bound", "baseline_censored" and "treated_censored".

    Returns
    -------
    str

    Examples
    --------
    >>> factor = {"ratio": 1.5, "low": 1.2, "high": 1.9, "is_lower_bound": False, "treated_censored": 0.1}
    >>> [judge_study("above", 1, factor | {"baseline_censored": share}) for share in (0.1, 0.6)]
    ['yes', 'undecided']
    """
    if factor["ratio"] is None:
        return UNDECIDED
    low = 0.0 if factor["baseline_censored"] > _MOST_CENSORED else float(factor["low"])
    is_open = factor["is_lower_bound"] or factor["treated_censored"] > _MOST_CENSORED
    return judge(asks, bar, low, math.inf if is_open else float(factor["high"]))


def verdict(findings: Sequence[Finding]) -> str:
    """Return what the findings say of a claim together.

    Parameters
    ----------
    findings : sequence of Finding

    Returns
    -------
    str
        "not tested yet" if nothing has been; "undecided" if nothing is decided; "holds" if all that is decided says
        yes, "does not hold at this scale" if nothing does, and else how many of the settings do.

    Examples
    --------
    >>> probe = Probe(where="a coin", measured="until it is known", expected="yes", because="it is")
    >>> verdict([Finding(probe=probe, outcome=outcome) for outcome in ("yes", "harm", "not tested yet")])
    'holds only in 1 of 2 settings'
    """
    outcomes = Counter(item.outcome for item in findings)
    untested, undecided = outcomes[UNTESTED], outcomes[UNDECIDED]
    decided = len(findings) - untested - undecided
    if not decided:
        return UNDECIDED if undecided else UNTESTED
    holds = outcomes[YES]
    if holds == decided:
        return "holds"
    return f"holds only in {holds} of {decided} settings" if holds else "does not hold at this scale"


def _finding(probe: Probe, answer: Mapping[str, Any] | None) -> Finding:
    if answer is None:
        return Finding(probe=probe, outcome=UNTESTED)
    value, holder = _at(answer, probe.path)
    if probe.command == _RECORD and value["ratio"] is None:
        return Finding(probe=probe, outcome=UNDECIDED)
    if probe.command == _RECORD:
        outcome = judge_study(probe.asks, probe.bar, value)
        return replace(_measured(probe, value, "studied"), outcome=outcome)
    if isinstance(value, Mapping):
        return _measured(probe, value, "exact" if holder.get("is_exact", False) else "simulated")
    number = float(value)
    status = answer["functions"][probe.path.rpartition("/")[2].partition(".")[0]]["status"]
    return Finding(
        probe=probe,
        outcome=judge(probe.asks, probe.bar, number, number),
        number=number,
        low=number,
        high=number,
        kind="exact" if status == "proved" else status,
    )


def _measured(probe: Probe, factor: Mapping[str, Any], kind: str) -> Finding:
    """Return what an extension factor says."""
    number, low, high = (float(factor[key]) for key in ("ratio", "low", "high"))
    is_bound = bool(factor["is_lower_bound"])
    if is_bound:
        high = math.inf  # nothing is known of what comes after the horizon
    return Finding(
        probe=probe,
        outcome=judge(probe.asks, probe.bar, low, high),
        number=number,
        low=low,
        high=high,
        kind=kind,
        is_lower_bound=is_bound,
        horizon=factor["horizon"] if factor["is_restricted"] and not is_bound else None,
    )


def _at(document: Mapping[str, Any], path: str) -> tuple[Any, Mapping[str, Any]]:
    """Return what is at a place of a document, and the mapping that it is in."""
    found: Any = document
    holder = document
    for part in path.split("/"):
        if isinstance(found, Mapping):
            holder, found = found, found[part]
        elif "=" in part:
            wanted = dict(pair.split("=", 1) for pair in part.split("&"))
            found = next(item for item in found if all(str(item[key]) == value for key, value in wanted.items()))
        else:
            found = found[int(part)]
    return found, holder


def _outcome_if_wider(item: Finding, stretch: float) -> str:
    """Return the outcome with an interval that many times as wide, on the logarithmic scale."""
    assert item.number is not None
    assert item.low is not None
    assert item.high is not None
    low = item.number * (item.low / item.number) ** stretch
    high = item.number * (item.high / item.number) ** stretch
    return judge(item.probe.asks, item.probe.bar, low, high)


def _digits(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:#.3g}".rstrip(".")


# ------------------------------------------------------------------------------------------------- the claims

_OFF_BY_2 = "--metric std --outside 0.7071,1.4142 --relative"
_PREVIOUS = "--scale relative --mask previous"
_GAUSSIAN = "tce choose-gamma gaussian --n 100"
_CATEGORICAL = "tce choose-gamma categorical"
_MARKOV = "tce choose-gamma markov"
_FEW = "--replicates 100 --seed 1"

_WALL = f"{_GAUSSIAN} --generations 500 {_OFF_BY_2} --gammas 0.5 --replicates 1000 --seed 1"
_MEAN_HELD = "tce theory critical-truncation --n 100 --a 0.012663378348"
_ZIPF_DISTANCE = (
    f"{_CATEGORICAL} --zipf 100 --n 1000 --generations 200 --metric tv --above 0.3 --gammas 0.1,0.2 --replicates 300 "
    "--seed 1"
)
_PLANE = (
    "tce choose-gamma multivariate --dimension 2 --n 100 --generations 60 --metric entropy --below 2.3 --gammas 0.15 "
    "--replicates 200 --seed 1"
)
_WORDS = (
    f"{_CATEGORICAL} --n 10000 --generations 80 --metric support_fraction --below 0.1 --gammas 0.9 "
    "--replicates 60 --seed 1"
)
_LETTERS = (
    f"{_MARKOV} --unit char --n 5000 --generations 25 --metric entropy_rate --below 0.8 --relative --gammas 0.5 "
    "--replicates 40 --seed 1"
)
_MOONS = (
    "tce choose-gamma mixture --modes 4 --n 100 --generations 10 --metric entropy --below 0.5 --gammas 1 "
    "--replicates 40 --seed 1"
)

_SCALE_WITHIN_WALL = Probe(
    where="Gaussian, γ = .5",
    measured="until σ² is off by a factor of 2",
    expected=YES,
    because="the wall, at σ = .80, is inside the band, which ends at .71: for many points the factor is 7.2",
    slug="wall-extension",
    command=_WALL,
)
_SCALE_BEYOND_WALL = Probe(
    where="Gaussian, γ = .85",
    measured="until σ² is off by a factor of 2",
    expected=NONE,
    because="the wall, at σ = .47, is outside of the band: next to nothing is masked until the band has been left",
    slug="wall-extension",
    command=f"{_GAUSSIAN} --generations 500 {_OFF_BY_2} --gammas 0.85 --replicates 2000 --seed 1",
)
_ZIPF_ENTROPY = Probe(
    where="Zipf law on 100 classes, γ = .1",
    measured="until entropy is below 75 %",
    expected=YES,
    because="whatever happens ten classes survive, and entropy stays above 50 %",
    slug="support-floor",
    command=f"{_CATEGORICAL} --zipf 100 --n 1000 --generations 300 --metric entropy --below 0.75 --relative "
    "--gammas 0.1 --replicates 250 --seed 1",
)
_ZIPF_TV = Probe(
    where="Zipf law on 100 classes, γ = .2",
    measured="until total variation is above .3",
    expected=NONE,
    because="what is lost are rare classes, which no cap on frequent ones protects",
    slug="tails-unprotected",
    command=_ZIPF_DISTANCE,
    path="candidates/value=0.2/factor",
)
_STICKY_ROWS = Probe(
    where="Markov rows (.9, .1), γ = .936",
    measured="until KL from the origin is above .02",
    expected=YES,
    because="a cap just above the larger probability turns rows back before they are lost, near where they began",
    slug="two-class-persistence",
    command=f"{_MARKOV} --transition '0.9,0.1;0.1,0.9' --n 1000 --generations 200 --metric kl_rate_from_origin "
    "--above 0.02 --gammas 0.936 --replicates 150 --seed 1",
)
_TOO_MUCH_MASKED = Probe(
    where="Gaussian, relative γ = .99",
    measured="until σ² is off by a factor of 2",
    expected=HARM,
    because="this leaves out eleven points of a hundred where two would balance the loss: the variance explodes",
    slug="critical-truncation",
    command=f"{_GAUSSIAN} --generations 2000 {_OFF_BY_2} {_PREVIOUS} --gammas 0.99 {_FEW}",
)


def _studied(
    study: str,
    setting: str,
    condition: str,
    expected: str,
    because: str,
    *,
    slug: str | None = None,
    asks: str = "above",
) -> Probe:
    """Return the probe of a factor of a recorded study, by the labels of its definition."""
    is_image = study.endswith("images")
    kind = "autoencoder" if is_image else "language model"
    what = "a quarter of the entropy of classes is lost" if is_image else "knowledge retention is below 75 %"
    return Probe(
        where=f"{kind}, {setting}, {condition}",
        measured=f"until {what}",
        expected=expected,
        because=because,
        slug=slug,
        command=_RECORD,
        path=f"studies/store={study}.sqlite/entries/setting={setting}&condition={condition}",
        asks=asks,
    )


_REPLACED, _STAGED = "replaced, 5 beams", "staged, 5 beams, penalty 3"
_FACTS_REPLACED = _studied("replication", _REPLACED, "TCE γ = .9", YES, "exploration had a factor of 1.2")
_FACTS_STAGED = _studied("replication", _STAGED, "TCE γ = .9", NONE, "exploration had 0.98")
_LOW_REPLACED = _studied(
    "replication",
    _REPLACED,
    "TCE γ = .3",
    YES,
    "where decoding seeks modes a low cap keeps the entropy of predictions up; exploration had a factor of 2.5",
    slug="mode-seeking-limit",
)
_LOW_STAGED = _studied("replication", _STAGED, "TCE γ = .3", NONE, "exploration had 1.1")

CLAIMS = (
    Claim(
        name="delay",
        statement="Training with TCE in place of cross entropy delays collapse.",
        place="abstract, and its experiments throughout",
        reading="the extension factor, TCE over cross entropy, of a fidelity interval is above 1",
        probes=(
            _SCALE_WITHIN_WALL,
            _SCALE_BEYOND_WALL,
            Probe(
                where="Gaussian, γ = .5",
                measured="until the mean is as far off",
                expected=HARM,
                because="truncation never brings the mean back, and a scale that is held up lets it wander on",
                slug="mean-wanders",
                command=_WALL,
                path="side_effects/metric=mean/factor",
            ),
            Probe(
                where="two classes (.6, .4), γ = .9",
                measured="until one is lost",
                expected=YES,
                because="a model that starts from its predecessor keeps two classes for ever",
                slug="support-floor",
                command=f"{_CATEGORICAL} --probs 0.6,0.4 --n 100 --generations 3000 --metric support --below 2 "
                f"--gammas 0.9 {_FEW}",
            ),
            Probe(
                where="two classes (.9, .1), γ = .9",
                measured="until total variation is above .25",
                expected=HARM,
                because="turned back at the cap, the model forgets where it began; under cross entropy it mostly ends "
                "near by, at (1, 0)",
                slug="two-class-persistence",
                command=f"{_CATEGORICAL} --probs 0.9,0.1 --n 100 --generations 2000 --metric tv --above 0.25 "
                f"--gammas 0.9 {_FEW}",
            ),
            _ZIPF_ENTROPY,
            Probe(
                where="Zipf law on 100 classes, γ = .1",
                measured="until total variation is above .3",
                expected=HARM,
                because="a cap below the largest probability, .19, costs at once what is above it",
                slug="cap-bias",
                command=_ZIPF_DISTANCE,
                path="candidates/value=0.1/factor",
            ),
            _ZIPF_TV,
            _FACTS_REPLACED,
            _FACTS_STAGED,
            _LOW_REPLACED,
            _LOW_STAGED,
        ),
    ),
    Claim(
        name="variance",
        statement="Truncation with λη ≈ 1 stabilises the variance of a Gaussian that is fitted again and again.",
        place="its analysis of a Gaussian: a recursion for the expected variance",
        reading="the mean factor of σ² is 1, log σ² has no drift, and fidelity intervals of σ are longer; γ is a share "
        "of the peak, and the previous model decides what is masked",
        probes=(
            Probe(
                where="100 points, λη ≈ 1",
                measured="mean factor of σ² in a generation",
                expected=YES,
                because="that is how γ is chosen",
                slug="critical-truncation",
                command=_MEAN_HELD,
                path="rows/0/variance_factor",
                asks="equal",
            ),
            Probe(
                where="100 points, λη ≈ 1",
                measured="drift of log σ² in a generation",
                expected=NO,
                because="by Jensen's inequality it is below 0, and σ → 0 almost surely",
                slug="scale-no-go",
                command=_MEAN_HELD,
                path="rows/0/log_variance_drift",
                asks="equal",
                bar=0.0,
            ),
            Probe(
                where="100 points, λη ≈ 1",
                measured="until σ is halved",
                expected=YES,
                because="the drift is about half of that of cross entropy, so that collapse takes about twice as long",
                slug="scale-no-go",
                command=f"{_GAUSSIAN} --generations 8000 --metric std --below 0.5 --relative {_PREVIOUS} "
                f"--gammas 0.99991982265 {_FEW}",
            ),
            Probe(
                where="100 points, mean known, λη = 1",
                measured="until σ² is off by a factor of 2",
                expected=NONE,
                because="the fit has no bias, λ = 1, so that the criterion asks for no truncation; σ → 0 all the same",
                slug="scale-no-go",
                command=f"{_GAUSSIAN} --known-mean --generations 2000 {_OFF_BY_2} {_PREVIOUS} --gammas 1 {_FEW}",
            ),
            replace(_TOO_MUCH_MASKED, where="100 points, γ = .99 (λη > 1)"),
        ),
    ),
    Claim(
        name="factor",
        statement="TCE lets fidelity last more than 2.3 times as long.",
        place="abstract; there it is the accuracy of knowledge retention, which fails below 75 %",
        reading="the extension factor is above 2.3",
        probes=(
            Probe(
                where="Gaussian, log σ² without drift, n → ∞",
                measured="until σ² is off by a factor of 2",
                expected=SHORT,
                because="the factor is b coth b, b = log 2; it comes to 2.3 for a factor of 9.5 in σ²",
                slug="extension-law",
                command="tce theory extension-law --b 0.69314718",
                path="rows/0/extension_law",
                bar=2.3,
            ),
            Probe(
                where="Gaussian, log σ² without drift, n = 100",
                measured="until σ² is off by a factor of 2",
                expected=SHORT,
                because="the same, computed for 100 points",
                slug="extension-law",
                command=f"{_GAUSSIAN} --generations 2000 {_OFF_BY_2} {_PREVIOUS} --gammas 0.999682815 {_FEW}",
                bar=2.3,
            ),
            Probe(
                where="Gaussian, log σ² without drift, n = 100",
                measured="until σ² is off by a factor of 12",
                expected=YES,
                because="12 is more than 9.5",
                slug="extension-law",
                command=f"{_GAUSSIAN} --generations 9000 --metric std --outside 0.2887,3.4641 --relative {_PREVIOUS} "
                f"--gammas 0.999682815 {_FEW}",
                bar=2.3,
            ),
            replace(_SCALE_WITHIN_WALL, bar=2.3),
            replace(_SCALE_BEYOND_WALL, bar=2.3),
            replace(_ZIPF_ENTROPY, bar=2.3, because="exploration had it beyond 2.3, with total variation worse"),
            replace(_ZIPF_TV, bar=2.3),
            replace(_STICKY_ROWS, bar=2.3, because="exploration had 3 to 5, for γ some 4 % above .9"),
            Probe(
                where="Markov rows (.99, .01), γ = .995",
                measured="until total variation is above .02",
                expected=HARM,
                because="turned back at the cap, rows this extreme forget where they began",
                slug="two-class-persistence",
                command=f"{_MARKOV} --transition '0.99,0.01;0.01,0.99' --n 1000 --generations 150 --metric tv "
                f"--above 0.02 --gammas 0.995 {_FEW}",
                bar=2.3,
            ),
            replace(_FACTS_REPLACED, bar=2.3, expected=SHORT),
            replace(_FACTS_STAGED, bar=2.3),
            replace(_LOW_REPLACED, bar=2.3),
            replace(_LOW_STAGED, bar=2.3),
        ),
    ),
    Claim(
        name="modalities",
        statement="It works across modalities: text, images, mixtures of Gaussians.",
        place="abstract; its experiments with language models, a variational autoencoder and a Gaussian mixture",
        reading="in every family the extension factor is above 1, for diversity and for what it costs elsewhere",
        probes=(
            Probe(
                where="words of a text, γ = .078",
                measured="until entropy is below 85 %",
                expected=NONE,
                because="the cap, a tenth above the most frequent word, touches a few of 3,600 words, and entropy is "
                "in the others",
                slug="tails-unprotected",
                command=f"{_CATEGORICAL} --n 10000 --generations 60 --metric entropy --below 0.85 --relative "
                "--gammas 0.078 --replicates 50 --seed 1",
            ),
            Probe(
                where="letters of a text, bigrams, γ = .5",
                measured="until the entropy rate is below 80 %",
                expected=YES,
                because="rows that would contract on one letter are held at half of it",
                slug="support-floor",
                command=_LETTERS,
            ),
            Probe(
                where="letters of a text, bigrams, γ = .5",
                measured="until total variation is as large",
                expected=HARM,
                because="rows in which a letter has more than half, such as u after q, are distorted at once",
                slug="cap-bias",
                command=_LETTERS,
                path="side_effects/metric=tv/factor",
            ),
            _STICKY_ROWS,
            Probe(
                where="Gaussian in the plane, γ = .15",
                measured="until entropy is below 2.3",
                expected=YES,
                because="entropy has the floor −log γ, 1.9",
                slug="entropy-identity",
                command=_PLANE,
            ),
            Probe(
                where="Gaussian in the plane, γ = .15",
                measured="until the condition number is as large",
                expected=NONE,
                because="the wall holds the determinant, and lets the shape go",
                slug="shape-collapse",
                command=_PLANE,
                path="side_effects/metric=log_condition/factor",
            ),
            Probe(
                where="two moons, γ = 1",
                measured="until entropy is below .5",
                expected=YES,
                because="the average fit is held near its floor, −log γ = 0",
                slug="mixture-entropy-identity",
                command=_MOONS,
            ),
            Probe(
                where="two moons, γ = 1",
                measured="until masses of modes are as far off",
                expected=NONE,
                because="entropy is no matter of which modes are left: components widen, none comes back",
                slug="shape-collapse",
                command=_MOONS,
                path="side_effects/metric=mode_mass_error/factor",
            ),
            _FACTS_REPLACED,
            _FACTS_STAGED,
            _studied(
                "replication_images",
                "from scratch, all generated",
                "TCE γ = .9",
                YES,
                "exploration had a factor of 1.6 with pixels masked",
            ),
            _studied(
                "replication_images",
                "from scratch, all generated",
                "likely images left out",
                HARM,
                "what is left out are typical images, and exploration had factors of .5 to .65",
            ),
            Probe(
                where="other images",
                measured="until their quality is lost",
                expected=UNTESTED,
                because="no images but digits come with the library",
            ),
        ),
    ),
    Claim(
        name="confidence",
        statement="What drives collapse is the model's confidence in the data that it has made itself.",
        place="abstract and introduction",
        reading="masking what is confident delays collapse, and what leaves confidence as it is does not",
        probes=(
            Probe(
                where="words of a text, γ = .9",
                measured="until 90 % of them are lost",
                expected=NONE,
                because="no word is ever likelier than γ: nobody is confident, and collapse is that of cross entropy",
                slug="neutral-until-cap",
                command=_WORDS,
            ),
            Probe(
                where="words of a text, cross entropy with 2 % of fresh data",
                measured="until 90 % of them are lost",
                expected=NO,
                because="fresh data bring lost words back, and change nothing about confidence",
                slug="fresh-mix",
                command=_WORDS,
                path="rivals/value=0.02/factor",
                asks="not above",
            ),
            Probe(
                where="Zipf law on 20 classes, temperature .7, γ = .5",
                measured="until entropy is below .5",
                expected=YES,
                because="decoding that prefers the likely ends at one class, and TCE with γ = .5 at two",
                slug="mode-seeking-limit",
                command=f"{_CATEGORICAL} --zipf 20 --n 1000 --generations 60 --temperature 0.7 --metric entropy "
                "--below 0.5 --gammas 0.5 --seed 1",
            ),
            Probe(
                where="Zipf law on 20 classes, temperature 1, γ = .5",
                measured="until total variation is above .3",
                expected=NONE,
                because="the same law and cap without sharpening: drift does not wait for confidence",
                slug="neutral-until-cap",
                command=f"{_CATEGORICAL} --zipf 20 --n 1000 --generations 200 --metric tv --above 0.3 --gammas 0.5 "
                "--replicates 500 --seed 1",
            ),
            _TOO_MUCH_MASKED,
            _studied(
                "replication",
                _REPLACED,
                "random mask",
                NO,
                "as many targets are left out as by TCE, but at random: some of the delay is that less is learnt",
                asks="not above",
            ),
            _studied(
                "replication",
                _REPLACED,
                "early stopping",
                NO,
                "confidence is as it is, and training ends before it has drifted far",
                asks="not above",
            ),
        ),
    ),
)
