"""Settings of the network, its training and its tuning; plain records, like :mod:`models.features`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from models.features import STRICT, Problem

DEFAULT_NETWORK = "models.network.build_network"
Scalar = bool | int | float | str
StrategyName = Literal["auto", "one_device", "mirrored", "multi_worker", "parameter_server", "tpu"]
LAST_PORT = 65_535
Workers = Annotated[int, Ge(1), Le(64)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Hyperparameters:
    """Hyperparameters of the default network, :func:`models.network.build_network`.

    Attributes:
        hidden_layers: Number of dense layers; 0 leaves the linear part alone.
        hidden_units: Width of the first dense layer; each next one is half as wide.
        dropout: Share of activations dropped after each dense layer, in [0, 1).
        embedding_size: Largest width of a categorical feature's embedding.
        learning_rate: Adam's step size at the global batch size.
        l2: Weight of the squared norm of the dense kernels in the loss.
    """

    hidden_layers: Annotated[int, Ge(0), Le(100)] = 2
    hidden_units: Annotated[int, Ge(1), Le(65_536)] = 64
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    embedding_size: Annotated[int, Ge(1), Le(4_096)] = 8
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    l2: Annotated[float, Ge(0)] = 0.0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Network:
    """Which network is trained.

    Attributes:
        function: Import path of a function with the signature of :func:`models.network.build_network`.
        hyperparameters: Passed to it. The default network knows those of :class:`Hyperparameters`; another
            one may have any.
    """

    function: str = DEFAULT_NETWORK
    hyperparameters: dict[str, Scalar] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Training:
    """How the network is trained.

    Attributes:
        steps: Most batches taken.
        batch_size: Rows in a batch, over all replicas.
        evaluate_every: Steps between two evaluations on the validation split.
        patience: Stop after this many evaluations without a better validation loss; the best weights are kept.
        seed: Seed of the initial weights, dropout and the order of rows.
        strategy: How the work is spread; see :func:`models.distributed.strategy.make_strategy`.
        workers: Processes that share each batch, where the strategy is for several.
        parameter_servers: Processes that hold the weights, where the strategy is ``parameter_server``.
        first_port: Of the workers on one machine, which take this one and those behind it; 0 takes free ones.
        learning_rate_scaling: What the learning rate is multiplied by: ``none``, or the number of replicas
            (``linear``) or its square root (``sqrt``).
        checkpoint_every: Most steps that a killed worker costs; ``None`` is as many as ``evaluate_every``.
        cache: Whether the rows of a split stay in memory: ``memory``, ``none``, or ``auto``, which looks at their size.
        shuffle_rows: Rows among which the next one is drawn.
        warm_start: Whether training begins with the weights of the latest blessed model.
    """

    steps: Annotated[int, Ge(1)] = 1000
    batch_size: Annotated[int, Ge(1), Le(1_000_000)] = 128
    evaluate_every: Annotated[int, Ge(1)] = 100
    patience: Annotated[int, Ge(1)] = 3
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    strategy: StrategyName = "auto"
    workers: Workers = 1
    parameter_servers: Workers = 1
    first_port: Annotated[int, Ge(0), Le(LAST_PORT)] = 0
    learning_rate_scaling: Literal["none", "linear", "sqrt"] = "none"
    checkpoint_every: Annotated[int, Ge(1)] | None = None
    cache: Literal["auto", "memory", "none"] = "auto"
    shuffle_rows: Annotated[int, Ge(1)] = 100_000
    warm_start: bool = False

    def __post_init__(self) -> None:
        several = self.strategy in ("auto", "multi_worker", "parameter_server")
        if self.workers > 1 and not several:
            raise ValueError(
                f"'workers' is {self.workers} and 'strategy' is '{self.strategy}', which is for one process; expected "
                "'auto', 'multi_worker' or 'parameter_server'"
            )
        if self.workers > 1 and self.strategy != "parameter_server" and self.batch_size % self.workers:
            raise ValueError(
                f"'batch_size' is {self.batch_size}, which {self.workers} workers cannot share evenly; expected a "
                "multiple of 'workers', and no more workers than rows in a batch"
            )

        coordinated = self.strategy == "parameter_server"
        last = self.first_port + self.workers + (self.parameter_servers if coordinated else -1)
        if self.first_port and last > LAST_PORT:
            raise ValueError(f"'first_port' is {self.first_port}, and the last is {last}; expected at most {LAST_PORT}")

    @property
    def checkpoints(self) -> list[int]:
        """The steps behind which the state is kept; each evaluation and the last step are among them."""
        every = self.checkpoint_every or self.evaluate_every
        evaluations = range(self.evaluate_every, self.steps, self.evaluate_every)
        return sorted({*evaluations, *range(every, self.steps, every), self.steps})

    def is_evaluated(self, step: int) -> bool:
        """Whether the validation split is evaluated behind a step; it always is behind the last."""
        return step % self.evaluate_every == 0 or step == self.steps


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Range:
    """One searched hyperparameter: an interval, or a list of choices.

    Attributes:
        min: Smallest value.
        max: Largest value.
        sampling: ``linear`` or ``log``.
        values: The choices, instead of an interval.
    """

    min: int | float | None = None
    max: int | float | None = None
    sampling: Literal["linear", "log"] = "linear"
    values: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = None

    def __post_init__(self) -> None:
        interval = self.min is not None and self.max is not None
        if interval == (self.values is not None):
            raise ValueError("give either 'min' and 'max', or 'values'")
        if self.values is not None and len({self._type_of(value) for value in self.values}) > 1:
            raise ValueError(f"'values' must be of one type; found {list(self.values)}")
        if self.min is not None and self.max is not None:
            if self.min >= self.max:
                raise ValueError(f"'min' must be below 'max'; found {self.min} and {self.max}")
            if self.sampling == "log" and self.min <= 0:
                raise ValueError(f"'min' must be above 0 for log sampling; found {self.min}")

    @staticmethod
    def _type_of(value: Scalar) -> str:
        if isinstance(value, bool | str):
            return type(value).__name__
        return "number"

    @property
    def choices(self) -> list[Scalar]:
        """The choices; numbers are floats if one of them is."""
        values = list(self.values or ())
        if any(isinstance(value, float) for value in values):
            return [float(value) for value in values]
        return values


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Tuning:
    """How hyperparameters are searched.

    Attributes:
        enabled: Whether the Tuner runs; ``--tune`` and ``--no-tune`` override it.
        algorithm: ``bayesian``, ``random``, or ``vizier``, Google Cloud's service of that name.
        trials: Number of networks tried.
        steps: Most batches in one trial.
        workers: Processes that each train one network at a time.
        search: Searched hyperparameters by name; the others keep the network's values.
    """

    enabled: bool = True
    algorithm: Literal["bayesian", "random", "vizier"] = "bayesian"
    trials: Annotated[int, Ge(1)] = 5
    steps: Annotated[int, Ge(1)] = 300
    workers: Workers = 1
    search: dict[str, Range] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelConfig:
    """All that ``tuner_fn`` and ``run_fn`` are told.

    Attributes:
        problem: Task, label and features.
        network: Which network.
        training: How it is trained.
        tuning: How it is tuned; ``None`` in the Trainer, whose cache must not depend on it.
        code: Digest of the code that they run, so that an edited network is not taken from the cache.
        study: Resource name of the study in Vertex AI Vizier, where that is asked what to try.
    """

    problem: Problem
    network: Network
    training: Training
    tuning: Tuning | None = None
    code: str = ""
    study: str | None = None

    def to_config(self) -> dict[str, Any]:
        """The record as plain JSON types, for ``custom_config``."""
        config: dict[str, Any] = _MODEL_CONFIG.dump_python(self, mode="json")
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "ModelConfig":
        """Reads what :meth:`to_config` wrote."""
        return _MODEL_CONFIG.validate_python(config, strict=False)


_MODEL_CONFIG = TypeAdapter(ModelConfig)
