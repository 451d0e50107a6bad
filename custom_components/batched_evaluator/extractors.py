"""What TFX's Evaluator asks for by name: TFMA's extractors, the last of which keep a slice's rows together."""

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

# What metrics read.
COLUMNS = (constants.LABELS_KEY, constants.PREDICTIONS_KEY, constants.EXAMPLE_WEIGHTS_KEY)


class Codes(NamedTuple):
    """A column of a batch as whole numbers.

    Attributes:
        codes: int64 [N]: the place in ``values`` of each row's.
        values: What stands in such a row: arrays of no, one or more values.
    """

    codes: np.ndarray
    values: list[np.ndarray]


def custom_extractors(
    eval_shared_model: Any, eval_config: config_pb2.EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """TFMA's own extractors up to the predictions, then the slices.

    TFMA goes on row by row: it takes a batch apart, and calls each metric for each row and slice of it.

    Args:
        eval_shared_model: The model, or the model and the baseline.
        eval_config: Has the slicing specs.
        tensor_adapter_config: How a batch becomes tensors.
    """
    extractors = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    *kept, unbatch, slice_keys = extractors
    assert (unbatch.stage_name, slice_keys.stage_name) == (UNBATCH_EXTRACTOR_STAGE_NAME, SLICE_KEY_EXTRACTOR_STAGE_NAME)
    slices = tfma.extractors.Extractor(
        stage_name=SLICE_KEY_EXTRACTOR_STAGE_NAME,
        ptransform=beam.FlatMap(slices_of_batch, list(eval_config.slicing_specs)),
    )
    return [*kept, slices]


def slices_of_batch(batch: Extracts, specs: Sequence[config_pb2.SlicingSpec]) -> Iterator[Extracts]:
    """Yields the rows of each slice that a batch has rows of.

    Args:
        batch: Extracts of N rows: arrays, by name and by model, of shape [N] or [N, width].
        specs: What to slice by.

    Yields:
        For a slice its key, and its rows' labels, predictions and example weights, which are 1 where there are none.
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
                yield {constants.SLICE_KEY_TYPES_KEY: keys, **_taken(arrays, rows)}


def _slices(
    spec: config_pb2.SlicingSpec, batch: Extracts, count: int
) -> Iterator[tuple[slicer_lib.SliceKeyType, np.ndarray]]:
    """Yields the keys of one spec's slices with their rows; TFMA itself says which keys such values belong to."""
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
    """A column by name, a transformed one before a raw one, as TFMA looks them up; ``None`` if there is none."""
    transformed = batch.get(constants.TRANSFORMED_FEATURES_KEY) or {}
    for features in (transformed, *(each for each in transformed.values() if isinstance(each, Mapping))):
        if features.get(name) is not None and not isinstance(features[name], Mapping):
            return features[name]
    return batch[constants.FEATURES_KEY].get(name)


def _codes(column: Any, count: int) -> Codes:
    if column is None:
        return Codes(np.zeros(count, np.int64), [np.array([])])
    if isinstance(column, VarLenTensorValue):
        values, rows = column.values, column.indices[:, 0]
    else:
        values = np.asarray(column).reshape(count, -1)
        rows, values = np.repeat(np.arange(count), values.shape[1]), values.ravel()
    codes, uniques = pd.factorize(values, use_na_sentinel=False)
    if len(rows) == len(np.unique(rows)):
        found = np.zeros(count, np.int64)
        found[rows] = codes + 1
        return Codes(found, [uniques[:0], *(uniques[code : code + 1] for code in range(len(uniques)))])
    return _codes_of_lists(codes, rows, uniques, count)


def _codes_of_lists(codes: np.ndarray, rows: np.ndarray, uniques: np.ndarray, count: int) -> Codes:
    """The same where a row may have several values."""
    bounds = np.searchsorted(rows, np.arange(1, count))
    lists = [tuple(part) for part in np.split(codes, bounds)]
    places: dict[tuple[int, ...], int] = {}
    found = np.array([places.setdefault(each, len(places)) for each in lists], np.int64)
    return Codes(found, [uniques[list(each)] for each in places])


def _leaves(tree: Any) -> Iterator[np.ndarray]:
    for each in tree.values() if isinstance(tree, Mapping) else [tree]:
        if isinstance(each, Mapping):
            yield from _leaves(each)
        else:
            yield each


def _taken(tree: Any, rows: np.ndarray) -> Any:
    if isinstance(tree, Mapping):
        return {name: _taken(each, rows) for name, each in tree.items()}
    return tree[rows]
