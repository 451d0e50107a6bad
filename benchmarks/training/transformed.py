"""The transformed examples of a run."""

import dataclasses

import tensorflow_transform as tft

from models.training.fitting import TrainingData


@dataclasses.dataclass(frozen=True)
class TransformedData:
    """What Transform wrote in a run.

    Attributes:
        train_files: Pattern of the training examples.
        validation_files: Pattern of the validation examples.
        graph: Folder of the Transform graph.
    """

    train_files: str
    validation_files: str
    graph: str

    @property
    def training_data(self) -> TrainingData:
        """The same for :func:`models.training.fitting.fit`."""
        return TrainingData([self.train_files], [self.validation_files], tft.TFTransformOutput(self.graph))
