"""The signatures of an exported model, all through the one saved Transform graph."""

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from models.features import Problem, transformed_name

SERVING = "serving_default"
TRANSFORM_FEATURES = "transform_features"
TRANSFORM_LABEL = "transform_label"


def export(model: keras.Model, transform_output: tft.TFTransformOutput, problem: Problem, directory: str) -> None:
    """Writes ``model`` as a SavedModel with its signatures.

    Args:
        model: Takes the transformed features by name, gives predictions [N, 1] or [N, C].
        transform_output: The Transform graph of the examples that it was trained on.
        problem: Task, label and features.
        directory: Where the SavedModel is written.
    """
    # Attached, so that the graph's vocabularies are saved as the model's own assets.
    model.transform_layer = transform_output.transform_features_layer()
    spec = transform_output.raw_feature_spec()
    signatures = {
        SERVING: _serving(model, problem, spec),
        TRANSFORM_FEATURES: _transform_features(model, problem, spec),
        TRANSFORM_LABEL: _transform_label(model, problem, spec),
    }
    tf.saved_model.save(model, directory, signatures=signatures)


def _serving(model: keras.Model, problem: Problem, spec: dict[str, object]) -> tf.types.experimental.ConcreteFunction:
    """Serialized examples, string [N], to predictions; for classes also their names and scores, [N, C]."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serve(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return _outputs(model(_transformed(model, problem, spec, examples)), problem)

    return serve.get_concrete_function()


def _transform_features(
    model: keras.Model, problem: Problem, spec: dict[str, object]
) -> tf.types.experimental.ConcreteFunction:
    """Serialized examples, string [N], to every transformed feature, [N, width]."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def transform(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return _transformed(model, problem, spec, examples)

    return transform.get_concrete_function()


def _transform_label(
    model: keras.Model, problem: Problem, spec: dict[str, object]
) -> tf.types.experimental.ConcreteFunction:
    """Serialized labelled examples, string [N], to the label [N, 1]: what the Evaluator compares with."""
    label_spec = {name: spec[name] for name in problem.label.columns}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def label(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        transformed = model.transform_layer(tf.io.parse_example(examples, label_spec))
        return {problem.label.name: transformed[problem.label.name]}

    return label.get_concrete_function()


def _transformed(
    model: keras.Model, problem: Problem, spec: dict[str, object], examples: tf.Tensor
) -> dict[str, tf.Tensor]:
    features_spec = {name: spec[name] for name in problem.features.columns}
    transformed = model.transform_layer(tf.io.parse_example(examples, features_spec))
    names = [transformed_name(kind, column) for kind, column in problem.features]
    return {name: transformed[name] for name in names}


def _outputs(predictions: tf.Tensor, problem: Problem) -> dict[str, tf.Tensor]:
    outputs = {"predictions": predictions}
    if problem.class_names:
        scores = predictions
        if problem.task == "binary":
            scores = tf.concat([1 - predictions, predictions], axis=1)
        names = tf.constant([list(problem.class_names)])
        outputs["classes"] = tf.tile(names, [tf.shape(scores)[0], 1])
        outputs["scores"] = scores
    return outputs
