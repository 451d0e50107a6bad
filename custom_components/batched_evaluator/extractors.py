"""TFMA's extractors, with a last one that keeps the rows of a slice together. TFX finds them by ``module_path``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pandas as pd
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.api.types import Extracts, VarLenTensorValue
from tensorflow_model_analysis.extractors.slice_key_extractor import SLICE_KEY_EXTRACTOR_STAGE_NAME
from tensorflow_model_analysis.extractors.unbatch_extractor import UNBATCH_EXTRACTOR_STAGE_NAME
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.slicer.slice_accessor import SliceAccessor

# Input of the signatures that TFMA calls. A raw column of this name is kept under another key, since TFMA would feed it
# to the model instead of the serialized rows.
MODEL_INPUT = "examples"
HIDDEN_COLUMN = "hidden_column"
# Extracts that metrics read.
COLUMNS = (constants.LABELS_KEY, constants.PREDICTIONS_KEY, constants.EXAMPLE_WEIGHTS_KEY)


class Codes(NamedTuple):
    """A column of a batch as integer codes.

    Attributes:
        codes: int64 [N]: index in ``values`` for each row.
        values: Distinct values of rows: arrays of zero or more values.
    """

    codes: np.ndarray
    values: list[np.ndarray]


def custom_extractors(
    eval_shared_model: Any, eval_config: config_pb2.EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """TFMA's extractors up to the predictions, followed by one that slices batches.

    TFMA would split batches into rows, and call each metric for each row and slice.

    Args:
        eval_shared_model: The model, or the model and the baseline.
        eval_config: Contains the slicing specs.
        tensor_adapter_config: How batches are converted to tensors.
    """
    extractors = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    features, *kept, unbatch, slice_keys = extractors
    hide = tfma.extractors.Extractor(stage_name="HideModelInput", ptransform=beam.Map(hide_model_input))
    assert (unbatch.stage_name, slice_keys.stage_name) == (UNBATCH_EXTRACTOR_STAGE_NAME, SLICE_KEY_EXTRACTOR_STAGE_NAME)
    slices = tfma.extractors.Extractor(
        stage_name=SLICE_KEY_EXTRACTOR_STAGE_NAME,
        ptransform=beam.FlatMap(slices_of_batch, list(eval_config.slicing_specs)),
    )
    return [features, hide, *kept, slices]


def hide_model_input(batch: Extracts) -> Extracts:
    """Moves a raw column that has the name of the model's input to :data:`HIDDEN_COLUMN`."""
    features = dict(batch[constants.FEATURES_KEY])
    if MODEL_INPUT not in features:
        return batch
    hidden = features.pop(MODEL_INPUT)
    return {**batch, constants.FEATURES_KEY: features, HIDDEN_COLUMN: hidden}


def slices_of_batch(batch: Extracts, specs: Sequence[config_pb2.SlicingSpec]) -> Iterator[Extracts]:
    """Yields the rows of each slice in a batch.

    Args:
        batch: Extracts of N rows: arrays, by name and by model, of shape [N] or [N, width].
        specs: Slicing specs.

    Yields:
        For each slice, its key and the labels, predictions and example weights of its rows. Weights are 1 by default.
    """
    arrays = {name: batch[name] for name in COLUMNS if batch.get(name) is not None}
    count = len(next(_leaves(arrays)))
    arrays.setdefault(constants.EXAMPLE_WEIGHTS_KEY, np.ones(count, np.float32))
    seen = set()
    for spec in specs:
        for key, rows in _slices(spec, batch, count):
            if key not in seen:
                seen.add(key)
                keys = slicer_lib.slice_keys_to_numpy_array([key])
                yield {constants.SLICE_KEY_TYPES_KEY: keys, **_select(arrays, rows)}


def _slices(
    spec: config_pb2.SlicingSpec, batch: Extracts, count: int
) -> Iterator[tuple[slicer_lib.SliceKeyType, np.ndarray]]:
    """Yields the keys of the slices of one spec with their rows. TFMA determines the keys of each combination."""
    names = sorted({*spec.feature_keys, *spec.feature_values})
    columns = {name: _codes(_feature(batch, name), count) for name in names}
    if not columns:
        yield (), np.arange(count)
        return
    table = np.stack([column.codes for column in columns.values()], axis=1)
    combinations, inverse = np.unique(table, axis=0, return_inverse=True)
    by_combination = np.argsort(inverse.ravel(), kind="stable")
    parts = np.split(by_combination, np.cumsum(np.bincount(inverse.ravel()))[:-1])
    found: dict[slicer_lib.SliceKeyType, list[np.ndarray]] = {}
    by_tfma = slicer_lib.SingleSliceSpec(spec=spec)
    for combination, rows in zip(combinations, parts, strict=True):
        values = {name: column.values[code] for code, (name, column) in zip(combination, columns.items(), strict=True)}
        for key in by_tfma.generate_slices(SliceAccessor([], values)):
            found.setdefault(key, []).append(rows)
    for key, several in found.items():
        yield key, np.sort(np.concatenate(several))


def _feature(batch: Extracts, name: str) -> Any:
    """Finds a column by name. Returns ``None`` if it does not exist.

    Unlike in TFMA, a raw column comes before the transformed label of the same name: slices are those of the table.
    """
    raw = batch.get(HIDDEN_COLUMN) if name == MODEL_INPUT else batch[constants.FEATURES_KEY].get(name)
    if raw is not None:
        return raw
    transformed = batch.get(constants.TRANSFORMED_FEATURES_KEY) or {}
    for features in (transformed, *(each for each in transformed.values() if isinstance(each, Mapping))):
        if features.get(name) is not None and not isinstance(features[name], Mapping):
            return features[name]
    return None


def _codes(column: Any, count: int) -> Codes:
    if column is None:
        return Codes(np.zeros(count, np.int64), [np.array([])])
    if isinstance(column, VarLenTensorValue):
        values, rows = column.values, column.indices[:, 0]
    else:
        values = np.asarray(column).reshape(count, -1)
        rows, values = np.repeat(np.arange(count), values.shape[1]), values.ravel()
    if np.issubdtype(values.dtype, np.floating):
        values = values + values.dtype.type(0)  # 0.0 and -0.0 are equal, but two keys to Beam
    codes, uniques = pd.factorize(values, use_na_sentinel=False)
    if len(rows) == len(np.unique(rows)):
        found = np.zeros(count, np.int64)
        found[rows] = codes + 1
        return Codes(found, [uniques[:0], *(uniques[code : code + 1] for code in range(len(uniques)))])
    return _codes_of_lists(codes, rows, uniques, count)


def _codes_of_lists(codes: np.ndarray, rows: np.ndarray, uniques: np.ndarray, count: int) -> Codes:
    """Like :func:`_codes`, for rows with several values."""
    bounds = np.searchsorted(rows, np.arange(1, count))
    lists = [tuple(part) for part in np.split(codes, bounds)]
    indices: dict[tuple[int, ...], int] = {}
    found = np.array([indices.setdefault(each, len(indices)) for each in lists], np.int64)
    return Codes(found, [uniques[list(each)] for each in indices])


def _leaves(tree: Any) -> Iterator[np.ndarray]:
    for each in tree.values() if isinstance(tree, Mapping) else [tree]:
        if isinstance(each, Mapping):
            yield from _leaves(each)
        else:
            yield each


def _select(tree: Any, rows: np.ndarray) -> Any:
    if isinstance(tree, Mapping):
        return {name: _select(each, rows) for name, each in tree.items()}
    return tree[rows]
