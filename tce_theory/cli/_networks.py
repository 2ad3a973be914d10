"""Networks as options: what they learn, what they look like, how they are trained, and what is compared by default."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tce_theory.cli._generation0 import text_model
from tce_theory.cli._models import Generation0
from tce_theory.cli._options import (
    LOSS,
    SIZES,
    ZERO,
    as_option,
    flag,
    given_one,
    is_given,
    matrix,
    numbers,
    numeric,
    refuse,
    textual,
)
from tce_theory.cli._program import BadInputError, reason
from tce_theory.cli._simulation import SimulationOptions, decoding_of
from tce_theory.errors import DomainError

if TYPE_CHECKING:
    from tce_theory.losses import Loss
    from tce_theory.models.base import Model
    from tce_theory.neural.sources import LanguageSource
    from tce_theory.neural.training import Training

__all__ = ["AutoencoderOptions", "LanguageOptions", "NetworkOptions", "TrainingOptions", "completed", "losses_of"]

NETWORK = "Network"
TRAINING = "Training"

_REPLICATES, _STAGES, _TEMPERATURE = 4, 6, 0.7
_MOST_GENERATIONS = 100_000


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a network is trained; what is not given is left to the family."""

    optimiser: Annotated[str | None, textual("--optimiser", "adam|sgd", TRAINING, "Adam (default), or SGD.")] = None
    rate: Annotated[float | None, numeric("--rate", TRAINING, "Step of the optimiser.", metavar="NUMBER")] = None
    momentum: Annotated[float | None, numeric("--momentum", TRAINING, "sgd: momentum in [0, 1).", metavar="NUMBER")] = (
        None
    )
    final_rate: Annotated[
        float | None,
        numeric("--final-rate", TRAINING, "The step falls to this share of --rate.", metavar="SHARE"),
    ] = None
    batch: Annotated[int | None, numeric("--batch", TRAINING, "Targets in a minibatch.")] = None
    epochs: Annotated[int | None, numeric("--epochs", TRAINING, "Passes over the corpus; of full batches, steps.")] = (
        None
    )
    reduction: Annotated[
        str | None,
        textual("--reduction", "NAME", TRAINING, "mean: over all targets, masked ones too (default); mean-unmasked."),
    ] = None
    start: Annotated[
        str | None,
        textual("--start", "warm|scratch", TRAINING, "From the network before (default), or a new one each time."),
    ] = None
    held_out: Annotated[
        float | None,
        numeric("--held-out", TRAINING, "Share of the data kept for early stopping.", metavar="SHARE"),
    ] = None
    patience: Annotated[
        int | None, numeric("--patience", TRAINING, "Early stopping: epochs without a better held-out loss.")
    ] = None
    keep: Annotated[
        str | None,
        textual(
            "--keep", "last|best|retention", TRAINING, "Last epoch (default), best held-out loss, or highest retention."
        ),
    ] = None
    label_smoothing: Annotated[
        float | None,
        numeric("--label-smoothing", TRAINING, "ce: share of the target that all tokens have.", metavar="SHARE"),
    ] = None
    control: Annotated[
        str | None,
        textual("--control", "NAME", TRAINING, "tce: train its random-mask or matched-step control."),
    ] = None

    def build(self, default: "Training", **more: Any) -> "Training":
        given = _given(self, *(item.name for item in fields(self)))
        return replace(default, **given, **{name: value for name, value in more.items() if value is not None})


_Checkpoints = Annotated[
    Path | None, textual("--checkpoints", "FOLDER", NETWORK, "Keep the network of every generation there.")
]
_Hidden = Annotated[str | None, textual("--hidden", "H,H,…", NETWORK, "Units of the hidden layers, which are tanh.")]


def _given(options: Any, *names: str) -> dict[str, Any]:
    """Return the settings that were given; the others are left to the library."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _check_folder(path: Path | None) -> None:
    """Refuse a folder that could not be written, or that has files: those of one run belong together."""
    if path is None:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise DomainError("checkpoints", path, "a new or an empty folder")
    except OSError as error:
        raise DomainError("checkpoints", path, f"a folder that can be written to ({reason(error)})") from None


def _layers(text: str | None) -> dict[str, Any]:
    admissible = "whole numbers with commas between them, such as 64 or 128,64"
    return {} if text is None else {"hidden": tuple(numbers("hidden", text, admissible))}


@dataclass(frozen=True, kw_only=True)
class LanguageOptions:
    """Options of a `NeuralLanguageModel`."""

    facts: Annotated[
        int | None, numeric("--facts", ZERO, "A corpus with this many facts, the default.", metavar="N")
    ] = None
    filler: Annotated[int | None, numeric("--filler", ZERO, "facts: words after each fact that say nothing.")] = None
    filler_entropy: Annotated[
        float | None, numeric("--filler-entropy", ZERO, "facts: their entropy in nats.", metavar="NATS")
    ] = None
    mentions: Annotated[
        int | None, numeric("--mentions", ZERO, "facts: in place of --n, how often each is mentioned on average.")
    ] = None
    transition: Annotated[
        str | None,
        textual("--transition", "P,P;P,P", ZERO, "Instead, a Markov chain: the rows of its transition matrix."),
    ] = None
    text: Annotated[Path | None, textual("--text", "FILE", ZERO, "Instead, a text in UTF-8.")] = None
    standard_text: Annotated[
        bool, flag("--standard-text", ZERO, "Instead, the text that comes with Python: its help topics.")
    ] = False
    unit: Annotated[str | None, textual("--unit", "word|char", ZERO, "Tokens of a text: characters if not given.")] = (
        None
    )
    vocabulary: Annotated[
        int | None, numeric("--vocabulary", ZERO, "text: its most frequent tokens; the rest is one.")
    ] = None
    context: Annotated[int | None, numeric("--context", NETWORK, "Tokens that a prediction sees.")] = None
    embedding: Annotated[int | None, numeric("--embedding", NETWORK, "Numbers that stand for a token.")] = None
    hidden: _Hidden = None
    tabular: Annotated[
        bool, flag("--tabular", NETWORK, "No network but a law for each context: a Markov chain, fitted exactly.")
    ] = False
    length: Annotated[int | None, numeric("--length", NETWORK, "Tokens that are written after each prompt.")] = None
    prompts: Annotated[
        str | None,
        textual("--prompts", "NAME", NETWORK, "previous: contexts of the corpus before (default); real: real ones."),
    ] = None
    engine: Annotated[
        str | None,
        textual("--engine", "NAME", TRAINING, "auto (default), exact, counts (full batch) or minibatch."),
    ] = None
    checkpoints: _Checkpoints = None

    def build(self, training: TrainingOptions) -> Generation0:
        from tce_theory.neural.language_model import NeuralLanguageModel

        _check_folder(self.checkpoints)
        source, words = self._source()
        given = _given(self, "context", "embedding", "length", "prompts", "checkpoints") | _layers(self.hidden)
        if self.tabular and self.engine in (None, "auto", "exact"):
            names = ("optimiser", "rate", "momentum", "final_rate", "batch", "epochs", "reduction", "start")
            refuse({name: getattr(training, name) for name in names}, "--engine counts or minibatch with --tabular")
            refuse({"control": training.control}, "--engine minibatch with --tabular")
        if self.tabular:
            refuse({"embedding": self.embedding, "hidden": self.hidden}, "a network: leave out --tabular")
            given |= {"embedding": None, "hidden": ()}
        model = NeuralLanguageModel(
            source, training=training.build(NeuralLanguageModel.training, engine=self.engine), **given
        )
        return Generation0(model, f"{words}; {model.summary()}")

    def tokens(self, model: "Model") -> int:
        """Tokens drawn for a generation where --n is not given."""
        from tce_theory.neural.sources import KnowledgeCorpus

        source = model.source  # type: ignore[attr-defined]
        if isinstance(source, KnowledgeCorpus):
            return source.tokens(_MENTIONS if self.mentions is None else self.mentions)
        return _TOKENS

    def check_size(self, model: "Model", options: "NetworkOptions") -> None:
        """Refuse, in the words of the options, more stages than facts and more tokens than a text has."""
        from tce_theory.neural.sources import KnowledgeCorpus, TextSource

        source, stages = model.source, options.stages if options.regime == "staged" else None  # type: ignore[attr-defined]
        if isinstance(source, KnowledgeCorpus) and stages is not None and source.n_facts < stages:
            raise DomainError("facts", source.n_facts, f"at least {stages}, one for each of the --stages")
        if isinstance(source, TextSource) and isinstance(options.n_samples, int):
            room = source.training.size // (stages or 1) - model.context  # type: ignore[attr-defined]
            part = f"a text for training with {stages} --stages" if stages else "the text for training"
            if options.n_samples > room:
                admissible = f"at most {max(room, 0)}, which {part} has room for"
                raise DomainError("n_samples", options.n_samples, admissible)

    def _source(self) -> "tuple[LanguageSource, str]":
        from tce_theory.models.markov import MarkovChain
        from tce_theory.neural.sources import KnowledgeCorpus, MarkovSource, TextSource
        from tce_theory.validation import positive_integer

        names = ("facts", "transition", "text", "standard_text")
        kind = given_one({name: getattr(self, name) for name in names}) or "facts"
        if kind != "facts":
            needed = f"a corpus of facts: leave out {as_option(kind)}"
            refuse({name: getattr(self, name) for name in ("filler", "filler_entropy", "mentions")}, needed)
        if kind not in ("text", "standard_text"):
            refuse({"unit": self.unit, "vocabulary": self.vocabulary}, "--text FILE or --standard-text")
        if self.facts is not None:
            positive_integer("facts", self.facts, minimum=_RELATIONS)
        if self.transition is not None:
            rows = matrix("transition", self.transition, "rows of equal length, such as 0.9,0.1;0.3,0.7")
            source: LanguageSource = MarkovSource(MarkovChain(rows))
            return source, repr(source)
        if kind != "facts":
            return text_model(TextSource, self.text, self.unit or "char", **_given(self, "vocabulary"))
        source = KnowledgeCorpus(**_given(self, "facts", "filler", "filler_entropy"))
        return source, repr(source)


_MENTIONS, _TOKENS = 12, 4000
_RELATIONS = 3
"""Things that are said about a subject of the corpus of facts, which has at least one."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderOptions:
    """Options of a `VariationalAutoencoder`."""

    images: Annotated[
        Path | None,
        textual("--images", "FILE.npy", ZERO, "Images (n, pixels) or (n, height, width); real digits if not given."),
    ] = None
    labels: Annotated[Path | None, textual("--labels", "FILE.npy", ZERO, "images: the class of each, an integer.")] = (
        None
    )
    binary: Annotated[bool, flag("--binary", ZERO, "Black or white pixels, split at the middle grey.")] = False
    latent: Annotated[int | None, numeric("--latent", NETWORK, "Latent variables.")] = None
    hidden: _Hidden = None
    exclude: Annotated[
        float | None,
        numeric("--exclude", LOSS, "Leave out this share of images, the likeliest of each batch.", metavar="SHARE"),
    ] = None
    output: Annotated[
        str | None,
        textual("--pixels", "mean|binary", NETWORK, "What is generated: grey levels (default), or draws of pixels."),
    ] = None
    checkpoints: _Checkpoints = None

    def build(self, training: TrainingOptions) -> Generation0:
        from tce_theory.neural.images import ImageSource
        from tce_theory.neural.vae import VariationalAutoencoder

        _check_folder(self.checkpoints)
        if self.images is None:
            refuse({"labels": self.labels}, "--images FILE.npy")
            try:
                source = ImageSource.digits(binary=self.binary)
            except ImportError as error:
                raise BadInputError(f"{error} (or give --images FILE.npy)") from None
        else:
            source = ImageSource.from_file(self.images, self.labels, binary=self.binary)
        given = _given(self, "latent", "exclude", "output", "checkpoints") | _layers(self.hidden)
        model = VariationalAutoencoder(source, training=training.build(VariationalAutoencoder.training), **given)
        return Generation0(model, repr(model))


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(SimulationOptions):
    """The options of ``tce simulate`` as networks have them: with defaults, so that no option is needed."""

    n_samples: Annotated[
        int | None, numeric("--n-samples", SIZES, "Tokens or images drawn for each generation.", also=("--n",))
    ] = None  # type: ignore[assignment]
    generations: Annotated[
        int | None, numeric("--generations", SIZES, "Generations after generation 0; those of the regime if not given.")
    ] = None  # type: ignore[assignment]
    replicates: Annotated[int | None, numeric("--replicates", SIZES, "Networks, each with a seed; 4 if not given.")] = (
        None
    )
    loss: Annotated[
        str | None,
        textual("--loss", "ce|tce|focal|smooth", LOSS, "One loss; if not given, several are compared, see above."),
    ] = None  # type: ignore[assignment]


def completed(options: NetworkOptions, n_samples: int, staged: bool) -> NetworkOptions:
    """Return the options with the default scenario in place of what was not given."""
    from tce_theory.validation import positive_integer

    changes: dict[str, Any] = {}
    if options.generations is not None:  # each trains a network, so that more are a slip
        positive_integer("generations", options.generations, maximum=_MOST_GENERATIONS)
    if options.n_samples is None:
        changes["n_samples"] = n_samples
    if options.replicates is None:
        changes["replicates"] = _REPLICATES
    if options.regime is None and options.fraction is None and staged:
        changes |= {"regime": "staged"}
    if changes.get("regime", options.regime) == "staged" and options.stages is None:
        changes["stages"] = _STAGES if options.generations is None else options.generations
    if options.generations is None:
        stages = changes.get("stages", options.stages)
        changes["generations"] = _STAGES if stages is None else stages
    if staged and decoding_of(options) is None:
        changes["temperature"] = _TEMPERATURE
    return replace(options, **changes)


def losses_of(options: NetworkOptions, gammas: tuple[float, ...]) -> "list[Loss]":
    """Return the loss that was asked for, or cross entropy and TCE at several thresholds."""
    from tce_theory.cli._simulation import loss_of
    from tce_theory.losses import TCE, CrossEntropy

    if options.loss is not None:
        return [loss_of(options)]
    names = ("scale", "mask", "vacuous", "exponent", "detach", "width")
    refuse({name: getattr(options, name) for name in names if is_given(getattr(options, name))}, "--loss NAME")
    if options.gamma is not None:
        return [CrossEntropy(), TCE(options.gamma)]
    return [CrossEntropy(), *(TCE(gamma) for gamma in gammas)]
