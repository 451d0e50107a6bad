"""The signatures of an exported model, all of which use the saved Transform graph.

A missing value is an absent feature in a ``tf.Example``, and in ``serve_raw`` the placeholder of its dtype
(:data:`models.transforms.columns.MISSING`): NaN, the smallest int64, or the empty string. The prediction is the same.
Lists are filled up with placeholders to the width of the longest in the request.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from models.embeddings import write_layout
from models.label_scaling import LabelScaling
from models.problem.features import Features
from models.problem.problem import Problem
from models.signature_names import Names, rename_tensors
from models.transforms.columns import is_present

SERVING = "serving_default"
SERVE_RAW = "serve_raw"
CLASSIFY = "classify"
REGRESS = "regress"
TRANSFORM_FEATURES = "transform_features"
TRANSFORM_LABEL = "transform_label"

RawFeatures: TypeAlias = Mapping[str, tf.Tensor | tf.SparseTensor]
Outputs: TypeAlias = dict[str, tf.Tensor]
# The model with predictions in the unit of the table.
Network: TypeAlias = Callable[..., tf.Tensor]
FeatureSpec: TypeAlias = Mapping[str, tf.io.VarLenFeature]


def export(model: keras.Model, transform_output: tft.TFTransformOutput, problem: Problem, directory: str) -> None:
    """Exports ``model`` as a SavedModel with its signatures.

    ========================  ==============================================  ==================================
    signature                 inputs                                          outputs
    ========================  ==============================================  ==================================
    ``serving_default``       ``examples``, string [N]                        ``predictions`` float32 [N, 1] or
                                                                              [N, C]; for classes also
                                                                              ``classes`` string [N, C] and
                                                                              ``scores`` float32 [N, C]
    ``serve_raw``             one tensor per raw feature, [N, 1], or          the same
                              [N, width] for lists
    ``classify``              ``inputs``, string [N]                          ``classes`` and ``scores``
    ``regress``               ``inputs``, string [N]                          ``outputs`` float32 [N, 1]
    ``transform_features``    ``examples``, string [N]                        every transformed feature
    ``transform_label``       ``examples``, string [N], with the label        the label [N, 1], and the weights if
                                                                              there are any
    ========================  ==============================================  ==================================

    Strings are serialized ``tf.Example`` protos. Classification problems have ``classify``, regressions ``regress``.
    Predictions are in the unit of the table, also if the label was scaled for the model. The loaded model also has the
    function ``network``, which maps transformed features by name to predictions, and
    ``network_of_one``, the same for a batch of one row, which some layers need for conversion to TFLite.

    In the signatures that servers read, columns and features have their own names. The functions of the loaded model
    take and return them by their names in TensorFlow's graphs (:mod:`models.problem.tensor_names`).

    Args:
        model: Maps transformed features by name to predictions [N, 1] or [N, C].
        transform_output: The Transform graph of the examples that the model was trained on.
        problem: Task, label and features.
        directory: Folder to write the SavedModel to.
    """
    transform_layer = transform_output.transform_features_layer()
    scaling = LabelScaling.of(transform_output, problem)

    def predict(features: Mapping[str, tf.Tensor], **options: bool) -> tf.Tensor:
        predictions = model(features, **options)
        return scaling.to_raw(predictions) if scaling else predictions

    signatures = _signatures(predict, transform_layer, transform_output.raw_feature_spec(), problem)
    transformed = signatures[TRANSFORM_FEATURES].structured_outputs
    exported = _Exported([model, transform_layer])
    exported.network, exported.network_of_one = (_network(predict, transformed, rows) for rows in (None, 1))
    tf.saved_model.save(exported, directory, signatures=signatures)
    write_layout(model, directory)
    rename_tensors(directory, _names_for_people(problem))


def _signatures(
    network: Network, transform_layer: keras.Model, spec: FeatureSpec, problem: Problem
) -> dict[str, tf.types.experimental.ConcreteFunction]:
    features = {name: spec[name] for name in problem.features.columns}
    label = {name: spec[name] for name in (*problem.label.columns, *([problem.weight] if problem.weight else []))}
    # Separate functions, so they are traced, saved and loaded once rather than for each signature.
    parsed = {name: tf.SparseTensorSpec([None, None], feature.dtype) for name, feature in features.items()}

    @tf.function(input_signature=[parsed], autograph=False)
    def transform(raw: RawFeatures) -> Outputs:
        transformed = transform_layer(raw)
        return {name: transformed[name] for name in problem.features.transformed_names}

    @tf.function(input_signature=[parsed], autograph=False)
    def predict(raw: RawFeatures) -> Outputs:
        return _outputs(network(transform(raw)), problem)

    def transform_label(raw: RawFeatures) -> Outputs:
        transformed = transform_layer(raw)
        return {name: transformed[name] for name in (problem.label_tensor, problem.weight_tensor) if name}

    method = REGRESS if problem.task == "regression" else CLASSIFY
    return {
        SERVING: _of_examples(predict, features, "examples"),
        SERVE_RAW: _of_columns(predict, features, problem.features),
        method: _of_examples(lambda raw: _method_outputs(predict(raw)), features, "inputs"),
        TRANSFORM_FEATURES: _of_examples(transform, features, "examples"),
        TRANSFORM_LABEL: _of_examples(transform_label, label, "examples"),
    }


def _names_for_people(problem: Problem) -> Mapping[str, Names]:
    """By signature: the names of its inputs and outputs, by those that they have in TensorFlow's graphs."""
    features = problem.features
    return {
        SERVE_RAW: Names(inputs={name: column for column, name in features.tensor_names.items()}),
        TRANSFORM_FEATURES: Names(outputs=features.transformed_names),
        TRANSFORM_LABEL: Names(outputs={problem.label_tensor: problem.label.name}),
    }


class _Exported(tf.Module):
    """The variables and resources that the functions of a SavedModel use, without Keras's layers.

    Keras would trace each layer again, so that it can be loaded separately, and every server would have to load these
    functions too. The graph's vocabularies are assets of the model.
    """

    variables: Sequence[tf.Variable] = ()  # hides a property, which is not saved

    def __init__(self, models: Sequence[keras.Model]) -> None:
        super().__init__()
        parts = [each for model in models for each in tf.train.TrackableView(model).descendants()]
        kinds = (tf.saved_model.Asset, tf.saved_model.experimental.TrackableResource)
        self.variables = [each for each in parts if isinstance(each, tf.Variable)]
        self.resources = [each for each in parts if isinstance(each, kinds)]


def _network(
    network: Network, transformed: Mapping[str, tf.TensorSpec], rows: int | None
) -> tf.types.experimental.PolymorphicFunction:
    """The network as a function of the transformed features. ``rows`` is the batch size. ``None`` allows any size."""
    inputs = {name: tf.TensorSpec([rows, spec.shape[1]], spec.dtype, name) for name, spec in transformed.items()}
    return tf.function(lambda features: network(features, training=False), input_signature=[inputs])


def _of_examples(
    function: Callable[[RawFeatures], Outputs], spec: FeatureSpec, input_name: str
) -> tf.types.experimental.ConcreteFunction:
    """A signature of serialized examples, string [N]."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, input_name)], autograph=False)
    def signature(examples: tf.Tensor) -> Outputs:
        return function(tf.io.parse_example(examples, spec))

    return signature.get_concrete_function()


def _of_columns(
    function: Callable[[RawFeatures], Outputs], spec: FeatureSpec, features: Features
) -> tf.types.experimental.ConcreteFunction:
    """A signature of one dense tensor per raw feature, [N, 1] or for lists [N, any width]."""
    names, lists = features.tensor_names, features.list_lengths
    inputs = {
        names[column]: tf.TensorSpec([None, None if column in lists else 1], each.dtype, names[column])
        for column, each in spec.items()
    }

    @tf.function(autograph=False)
    def signature(**columns: tf.Tensor) -> Outputs:
        single = {column: columns[names[column]] for column in spec if column not in lists}
        return function(_as_parsed(single) | {column: _list_as_parsed(columns[names[column]]) for column in lists})

    return signature.get_concrete_function(**inputs)


def _as_parsed(columns: Mapping[str, tf.Tensor]) -> dict[str, tf.SparseTensor]:
    """Columns [N, 1] as parsing returns them: sparse, without missing values. All of one dtype are found together."""
    result = {}
    for dtype in dict.fromkeys(values.dtype for values in columns.values()):
        same = {name: values for name, values in columns.items() if values.dtype == dtype}
        matrix = tf.concat(list(same.values()), axis=1)
        present = tf.transpose(is_present(matrix))
        counts = tf.math.count_nonzero(present, axis=1)
        places = tf.where(present)  # by column, then by row
        rows = places[:, 1:]
        values = tf.split(tf.gather_nd(matrix, tf.reverse(places, [1])), counts)
        indices = tf.split(tf.concat([rows, tf.zeros_like(rows)], axis=1), counts)
        shape = tf.stack([tf.shape(matrix, tf.int64)[0], 1])
        for name, *parts in zip(same, indices, values, strict=True):
            result[name] = tf.SparseTensor(*parts, shape)
    return result


def _list_as_parsed(values: tf.Tensor) -> tf.SparseTensor:
    """A column of lists [N, width] as parsing returns it: sparse, without missing values."""
    present = tf.where(is_present(values))
    return tf.SparseTensor(present, tf.gather_nd(values, present), tf.shape(values, tf.int64))


def _outputs(predictions: tf.Tensor, problem: Problem) -> Outputs:
    outputs = {"predictions": predictions}
    if problem.class_names:
        scores = predictions
        if problem.task == "binary":
            scores = tf.concat([1 - predictions, predictions], axis=1)
        names = tf.constant([list(problem.class_names)])
        outputs["classes"] = tf.tile(names, [tf.shape(scores)[0], 1])
        outputs["scores"] = scores
    return outputs


def _method_outputs(outputs: Outputs) -> Outputs:
    """The outputs that TensorFlow Serving's Classify and Regress APIs read."""
    if "classes" in outputs:
        return {"classes": outputs["classes"], "scores": outputs["scores"]}
    return {"outputs": outputs["predictions"]}
