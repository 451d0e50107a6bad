"""A learning problem: one record of its task, label and features."""

import functools
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from common.dotted_keys import join_key
from models.problem.features import Features
from models.problem.label import Label
from models.problem.tensor_names import tensor_names
from models.problem.types import STRICT

Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Problem:
    """A learning problem on one table.

    Attributes:
        task: ``binary``, ``multiclass`` or ``regression``.
        label: The value to predict.
        features: The inputs of the prediction.
        weight: Raw column with the weight of each row, or ``None``.
    """

    task: Task
    label: Label
    features: Features
    weight: str | None = None

    def __post_init__(self) -> None:
        if not self.features.columns:
            raise ValueError("features: found none; expected at least one")
        for kind, name in self.features:
            if self.label.column in self.features.raw_columns(kind, name):
                raise ValueError(
                    f"{join_key(['features', kind, name])}: found '{self.label.column}', the column of the label; "
                    "remove it from the features"
                )
        if self.label.above and self.label.above.of == self.label.column:
            raise ValueError(
                f"label.above.of: found '{self.label.column}', the column of the label; expected another one"
            )
        if self.weight in self.label.columns:
            raise ValueError(f"data.weight_column: found '{self.weight}', a column of the label; expected another one")
        self._check_classes()

    def _check_classes(self) -> None:
        classes = self.label.classes
        if self.task == "regression" and (classes or self.label.above):
            raise ValueError("label: found 'classes' or 'above' for a regression; remove them")
        if self.task != "regression" and (self.label.log or self.label.scale):
            raise ValueError(f"label: found 'log' or 'scale' for a {self.task} task; expected them for a regression")
        if self.task == "multiclass" and not classes:
            raise ValueError("label.classes: missing; expected the class names of the multiclass task, in order")
        if self.task == "multiclass" and self.label.above:
            raise ValueError("label.above: found task 'multiclass'; expected 'binary', since a threshold has two sides")
        if self.task == "binary" and classes and len(classes) != 2:
            raise ValueError(f"label.classes: found {len(classes)} names; expected two for a binary task")
        if classes and len(set(classes)) != len(classes):
            raise ValueError("label.classes: found a duplicate name; expected a different name for each class")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by class index. Empty for a regression."""
        if self.task == "regression":
            return ()
        return self.label.classes or ("0", "1")

    @functools.cached_property
    def label_tensor(self) -> str:
        """Name of the transformed label in TensorFlow's graphs: its name, unless a feature has it."""
        features = self.features.transformed_names
        return (
            tensor_names([self.label.name], features)[self.label.name]
            if self.label.name in features
            else self.label.name
        )

    @property
    def has_scaled_label(self) -> bool:
        """Whether the network learns another number than the label. See :mod:`models.label_scaling`."""
        return self.task == "regression" and (self.label.log or self.label.scale != "none")

    @property
    def target_tensor(self) -> str:
        """Name of what the network learns: the label, or the label scaled. No feature ends like this."""
        return f"{self.label_tensor}_target" if self.has_scaled_label else self.label_tensor

    @property
    def weight_tensor(self) -> str | None:
        """Name of the weights in TensorFlow's graphs, divided by their mean over the train split."""
        return f"{self.label_tensor}_weight" if self.weight else None

    @property
    def scaling_tensor(self) -> str:
        """Name of the constants of the scaling: mean, standard deviation, smallest and largest value, [N, 4]."""
        return f"{self.label_tensor}_scaling"

    @property
    def transformed_names(self) -> Mapping[str, str]:
        """By name in TensorFlow's graphs: the name that people see of each transformed feature and of the label."""
        return {**self.features.transformed_names, self.label_tensor: self.label.name}

    def to_config(self) -> dict[str, Any]:
        """Returns the record as JSON types, for ``custom_config``."""
        config: dict[str, Any] = _PROBLEM.dump_python(self, mode="json")
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Problem":
        """Reads a record that :meth:`to_config` returned."""
        return _PROBLEM.validate_python(config, strict=False)


_PROBLEM = TypeAdapter(Problem)
