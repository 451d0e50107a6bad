"""Features of the kind ``date``: parts of dates and times."""

import math
from collections.abc import Sequence

import tensorflow as tf

from models.problem.dates import PER_DAY, PERIODS, Date, Part
from models.problem.features import Feature
from models.transforms.calendar import Civil, civil_from_days, day_of_week
from models.transforms.columns import Columns, RawColumns, is_present, split
from models.transforms.date_texts import Moments, read_moments
from models.transforms.numbers import scaled

DAY = 86_400  # seconds


def date(features: Sequence[Feature], columns: RawColumns) -> dict[str, tf.Tensor]:
    """Computes the parts of dates. Those of all columns are computed together.

    Returns:
        float32 [N, width] by name of the feature: for each part in order, its sine and cosine, or its z-score. All are
        0 where a date is missing or invalid.
    """
    if not features:
        return {}
    moments = _moments(features, columns.values)
    parts = _parts(features, moments)
    present = dict(zip([each.name for each in features], tf.split(moments.present, len(features), axis=1), strict=True))
    cyclical = {key: values for key, values in parts.items() if key[1] in PERIODS}
    found = _circles(cyclical, present)
    linear = {
        key: tf.where(present[key[0]], tf.cast(values, tf.float32), math.nan)
        for key, values in parts.items()
        if key[1] not in PERIODS
    }
    names = {str(place): key for place, key in enumerate(linear)}
    scores = scaled("z_score", {name: linear[key] for name, key in names.items()})
    found |= {names[name]: score for name, score in scores.items()}
    return {
        each.name: tf.concat([found[each.name, part] for part in each.spec.chosen_parts], axis=1) for each in features
    }


Key = tuple[str, Part]


def _moments(features: Sequence[Feature], values: Columns) -> Moments:
    """The times of all features, [N, C] in the order of the features."""
    by_format: dict[str, list[Feature]] = {}
    found: dict[str, Moments] = {}
    for feature in features:
        if feature.spec.unit:
            found[feature.name] = _of_integers(values[feature.column], feature.spec)
        else:
            by_format.setdefault(feature.spec.format or "", []).append(feature)
    for same in by_format.values():
        texts = [_text(values[each.column]) for each in same]
        read = read_moments(texts, same[0].spec.date_format)
        columns = [split(each, [feature.name for feature in same]) for each in read]
        found |= {each.name: Moments(*(column[each.name] for column in columns)) for each in same}
    ordered = [found[each.name] for each in features]
    return Moments(*(tf.concat(list(each), axis=1) for each in zip(*ordered, strict=True)))


def _text(values: tf.Tensor) -> tf.Tensor:
    """Strings [N, 1]. An integer is written in decimal notation, and a missing one as a text without a date."""
    if values.dtype == tf.string:
        return values
    # Not 0, which is an hour. No format of digits has a minus sign.
    return tf.strings.as_string(tf.where(is_present(values), values, -1))


def _of_integers(values: tf.Tensor, spec: Date) -> Moments:
    """Times [N, 1] of integers [N, 1] that count since 1970."""
    low, high = spec.range
    present = (values >= low) & (values <= high)
    known = tf.where(present, values, 0)
    per_day = PER_DAY[spec.unit or "d"]
    days = known // per_day
    seconds = (known - days * per_day) // (per_day // DAY) if spec.has_time else tf.zeros_like(days)
    return Moments(tf.cast(days, tf.int32), tf.cast(seconds, tf.int32), present)


def _parts(features: Sequence[Feature], moments: Moments) -> dict[Key, tf.Tensor]:
    """The chosen parts of each feature, [N, 1]: from 0 for a part with a period."""
    civil = civil_from_days(moments.days)
    values: dict[Part, tf.Tensor] = {
        **_calendar(civil),
        "day_of_week": day_of_week(moments.days),
        "hour": moments.seconds // 3600,
        "minute_of_day": moments.seconds // 60,
    }
    ages = [each.spec.reference_days if "age" in each.spec.chosen_parts else 0 for each in features]
    # As float32, the days are exact near the reference, and seconds are fractions of a day.
    days = tf.cast(tf.constant([ages], tf.int32) - moments.days, tf.float32)
    values["age"] = days - tf.cast(moments.seconds, tf.float32) / DAY
    names = [each.name for each in features]
    by_part = {part: split(matrix, names) for part, matrix in values.items()}
    return {(each.name, part): by_part[part][each.name] for each in features for part in each.spec.chosen_parts}


def _calendar(civil: Civil) -> dict[Part, tf.Tensor]:
    return {
        "year": civil.year,
        "month": civil.month - 1,
        "day_of_month": civil.day - 1,
        "day_of_year": civil.day_of_year - 1,
    }


def _circles(parts: dict[Key, tf.Tensor], present: Columns) -> dict[Key, tf.Tensor]:
    """Sine and cosine of each part, float32 [N, 2], or (0, 0) where the date is missing."""
    if not parts:
        return {}
    turns = tf.constant([[2 * math.pi / PERIODS[part] for _, part in parts]], tf.float64)
    # In float64, since in float32 a row's sine would depend on its position in the batch.
    places = tf.cast(tf.concat(list(parts.values()), axis=1), tf.float32)
    angles = tf.cast(places, tf.float64) * turns
    shown = tf.concat([present[name] for name, _ in parts], axis=1)
    points = [tf.where(shown, tf.cast(each, tf.float32), 0.0) for each in (tf.sin(angles), tf.cos(angles))]
    sines, cosines = (tf.split(each, len(parts), axis=1) for each in points)
    return {
        key: tf.concat(list(point), axis=1) for key, point in zip(parts, zip(sines, cosines, strict=True), strict=True)
    }
