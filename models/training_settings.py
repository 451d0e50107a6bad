"""Settings of the network, its training and its tuning, as plain records like those of :mod:`models.problem`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from models.problem.problem import Problem
from models.problem.types import STRICT, PositiveInt

DEFAULT_NETWORK = "models.network.build_network"
Scalar = bool | int | float | str
StrategyName = Literal["auto", "one_device", "mirrored", "multi_worker", "parameter_server", "tpu"]
MAX_PORT = 65_535
MAX_CHECKPOINTS = 1_000_000  # all are kept in memory
Workers = Annotated[int, Ge(1), Le(64)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Hyperparameters:
    """Hyperparameters of the default network, :func:`models.network.build_network`.

    Attributes:
        hidden_layers: Number of dense layers. With 0 the network is linear.
        hidden_units: Width of the first dense layer. Each following layer is half as wide as the one before.
        dropout: Fraction of activations dropped after each dense layer, in [0, 1).
        embedding_size: Maximum width of the embedding of a categorical feature.
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
    """The network to train.

    Attributes:
        function: Import path of a :class:`models.network.NetworkFunction`.
        hyperparameters: Passed to the function. The default network accepts those of :class:`Hyperparameters`. Your own
            may have any.
    """

    function: str = DEFAULT_NETWORK
    hyperparameters: dict[str, Scalar] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Training:
    """Settings of the training.

    Attributes:
        steps: Maximum number of steps, of one batch each.
        batch_size: Global batch size: rows per step, across all replicas.
        evaluate_every: Steps between two evaluations on the validation split.
        patience: Stop after this many evaluations without a lower validation loss. The best weights are kept.
        seed: Seed of the initial weights, dropout and the order of rows.
        strategy: How training is distributed. See :func:`models.distributed.strategy.make_strategy`.
        workers: Number of processes that share each batch, for strategies with several.
        parameter_servers: Number of processes that hold the weights, for ``parameter_server``.
        first_port: First of the consecutive ports of the workers on one machine. 0 picks free ports.
        learning_rate_scaling: Factor of the learning rate: the number of replicas (``linear``), its square root
            (``sqrt``), or 1 (``none``).
        checkpoint_every: Steps between two checkpoints, which is the maximum that is lost if a worker is killed.
            ``None`` uses ``evaluate_every``.
        cache: Whether to keep the rows of a split in memory: ``memory``, ``none``, or ``auto``, which depends on their
            size.
        shuffle_rows: Size of the shuffle buffer, in rows.
        warm_start: Whether training starts with the weights of the latest blessed model.
        class_weights: Weight of each class in the loss, 1 for classes that are not listed, or ``balanced``, which gives
            all classes the same influence. ``None`` weights all rows equally.
    """

    steps: PositiveInt = 1000
    batch_size: Annotated[int, Ge(1), Le(1_000_000)] = 128
    evaluate_every: PositiveInt = 100
    patience: PositiveInt = 3
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    strategy: StrategyName = "auto"
    workers: Workers = 1
    parameter_servers: Workers = 1
    first_port: Annotated[int, Ge(0), Le(MAX_PORT)] = 0
    learning_rate_scaling: Literal["none", "linear", "sqrt"] = "none"
    checkpoint_every: PositiveInt | None = None
    cache: Literal["auto", "memory", "none"] = "auto"
    shuffle_rows: PositiveInt = 100_000
    warm_start: bool = False
    class_weights: Literal["balanced"] | dict[str, Annotated[float, Gt(0)]] | None = None

    def __post_init__(self) -> None:
        several = self.strategy in ("auto", "multi_worker", "parameter_server")
        if self.workers > 1 and not several:
            raise ValueError(
                f"found {self.workers} 'workers' with the single-process 'strategy' '{self.strategy}'; expected "
                "'auto', 'multi_worker' or 'parameter_server'"
            )
        if self.workers > 1 and self.strategy != "parameter_server" and self.batch_size % self.workers:
            raise ValueError(
                f"found 'batch_size' {self.batch_size} for {self.workers} 'workers'; expected a multiple of 'workers', "
                "so each of them gets the same number of rows"
            )
        coordinated = self.strategy == "parameter_server"
        last = self.first_port + self.workers + (self.parameter_servers if coordinated else -1)
        if self.first_port and last > MAX_PORT:
            raise ValueError(
                f"found 'first_port' {self.first_port}, so the last port is {last}; expected at most {MAX_PORT}"
            )
        every = min(self.evaluate_every, self.checkpoint_every or self.evaluate_every)
        if self.steps > every * MAX_CHECKPOINTS:
            raise ValueError(
                f"found {self.steps} 'steps' with a checkpoint or an evaluation every {every}; expected at most "
                f"{MAX_CHECKPOINTS:,} of them: raise 'evaluate_every' and 'checkpoint_every', or take fewer steps"
            )

    @property
    def checkpoints(self) -> list[int]:
        """The steps after which the state is saved, including each evaluation and the last step.

        >>> Training(steps=25, evaluate_every=10, checkpoint_every=5).checkpoints
        [5, 10, 15, 20, 25]
        """
        every = self.checkpoint_every or self.evaluate_every
        evaluations = range(self.evaluate_every, self.steps, self.evaluate_every)
        return sorted({*evaluations, *range(every, self.steps, every), self.steps})

    def is_evaluated(self, step: int) -> bool:
        """Whether to evaluate on the validation split after this step. The last step is always evaluated."""
        return step % self.evaluate_every == 0 or step == self.steps


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Range:
    """Search range of a hyperparameter: an interval, or a list of choices.

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
            raise ValueError("expected either 'min' and 'max', or 'values'")
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
        """The choices. If one number is a float, all are.

        >>> Range(values=(0, 0.5)).choices
        [0.0, 0.5]
        """
        values = list(self.values or ())
        if any(isinstance(value, float) for value in values):
            return [float(value) for value in values]
        return values


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Tuning:
    """Settings of the hyperparameter search.

    Attributes:
        enabled: Whether the Tuner runs. ``--tune`` and ``--no-tune`` override it.
        algorithm: ``bayesian``, ``random``, or ``vizier`` (Vertex AI Vizier).
        trials: Number of networks to try.
        steps: Maximum number of steps per trial.
        workers: Number of processes, each of which trains one network at a time.
        search: Search ranges by hyperparameter. The others keep the values of ``network.hyperparameters``.
    """

    enabled: bool = True
    algorithm: Literal["bayesian", "random", "vizier"] = "bayesian"
    trials: PositiveInt = 5
    steps: PositiveInt = 300
    workers: Workers = 1
    search: dict[str, Range] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelConfig:
    """The settings that ``tuner_fn`` and ``run_fn`` read.

    Attributes:
        problem: Task, label and features.
        network: The network to train.
        training: Settings for training.
        tuning: Settings of the search. ``None`` in the Trainer, whose cache must not depend on them.
        code: Digest of the code that they run, so an edited network is not reused from the cache.
        study: Resource name of the study in Vertex AI Vizier, for ``tuning.algorithm: vizier``.
    """

    problem: Problem
    network: Network
    training: Training
    tuning: Tuning | None = None
    code: str = ""
    study: str | None = None

    def to_config(self) -> dict[str, Any]:
        """Returns the record as JSON types, for ``custom_config``."""
        config: dict[str, Any] = _MODEL_CONFIG.dump_python(self, mode="json")
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "ModelConfig":
        """Reads a record that :meth:`to_config` returned."""
        return _MODEL_CONFIG.validate_python(config, strict=False)


_MODEL_CONFIG = TypeAdapter(ModelConfig)
