"""Reads dates and times from text by arithmetic on its bytes, which devices have, too.

A text is read from left to right, element by element, as :mod:`models.problem.date_formats` describes them. Each row
has its own position, since numbers and names differ in length.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.problem.date_formats import Character, DateFormat, Element, Number, OptionalPart, Word
from models.transforms.calendar import days_from_civil, is_date

LONGEST = 9  # bytes that are read at once
LAST_YEAR_2000 = 68  # of two digits, as in POSIX: 69 to 99 are 1969 to 1999
_ANY = -1  # in a table of words, after the end of a word


class Moments(NamedTuple):
    """Times.

    Attributes:
        days: Days since 1970: int32.
        seconds: Seconds since midnight: int32.
        present: Whether a row has a valid time.
    """

    days: tf.Tensor
    seconds: tf.Tensor
    present: tf.Tensor


class _State(NamedTuple):
    """What is known after some elements.

    Attributes:
        position: Index of the next byte: int32 [N], or one number while it is the same in all rows.
        valid: Whether all elements were found: bool [N].
        fields: Numbers by field: int32 [N] each.
    """

    position: tf.Tensor | int
    valid: tf.Tensor
    fields: Mapping[str, tf.Tensor]


def read_moments(texts: Sequence[tf.Tensor], date_format: DateFormat) -> Moments:
    """Reads columns of dates of one format.

    Args:
        texts: C columns of strings, [N, 1] each.
        date_format: How they are written.

    Returns:
        Times [N, C]. A text that does not have the format exactly, or is not in the calendar, is not present.
    """
    width = date_format.width + LONGEST + 1  # a longer text has a byte after its end
    rows = tf.io.decode_raw(tf.concat(texts, axis=1), tf.uint8, fixed_length=width)
    text = tf.reshape(tf.cast(rows, tf.int32), [-1, width])
    start = tf.zeros_like(text[:, 0])
    state = _read(text, _State(0, tf.equal(start, 0), {}), date_format.elements)
    after = start[:, tf.newaxis] + tf.constant(np.arange(width)[np.newaxis], tf.int32) >= _column(state.position)
    is_complete = tf.equal(tf.reduce_sum(tf.where(after, text, 0), axis=1), 0)
    found = _moments(state._replace(valid=state.valid & is_complete), start)
    return Moments(*(tf.reshape(each, [-1, len(texts)]) for each in found))


def _read(text: tf.Tensor, state: _State, elements: Sequence[Element]) -> _State:
    for element in elements:
        match element:
            case Number():
                state = _read_number(text, state, element)
            case Character():
                found = _is_one_of(_bytes(text, state.position, 1)[:, 0], element.characters)
                state = state._replace(position=state.position + 1, valid=state.valid & found)
            case Word():
                state = _read_word(text, state, element)
            case OptionalPart():
                taken = _is_one_of(_bytes(text, state.position, 1)[:, 0], element.first)
                state = _chosen(taken, _read(text, state, element.elements), state)
            case _:
                state = _read_zone(text, state)
    return state


def _column(position: tf.Tensor | int) -> tf.Tensor | int:
    return position if isinstance(position, int) else position[:, tf.newaxis]


def _bytes(text: tf.Tensor, position: tf.Tensor | int, count: int) -> tf.Tensor:
    """The next bytes of each row: int32 [N, count]."""
    if isinstance(position, int):
        return text[:, position : position + count]
    places = position[:, tf.newaxis] + tf.constant(np.arange(count)[np.newaxis], tf.int32)
    return tf.gather(text, places, axis=1, batch_dims=1)


def _is_one_of(byte: tf.Tensor, characters: str) -> tf.Tensor:
    return tf.reduce_any(tf.equal(byte[:, tf.newaxis], tf.constant([list(characters.encode())], tf.int32)), axis=1)


def _read_number(text: tf.Tensor, state: _State, number: Number) -> _State:
    digits = _bytes(text, state.position, number.max) - ord("0")
    is_digit = (digits >= 0) & (digits <= 9)
    if number.min == number.max:
        value = tf.reduce_sum(digits * tf.constant([[10**power for power in reversed(range(number.max))]]), axis=1)
        valid = state.valid & tf.reduce_all(is_digit, axis=1)
        return _State(state.position + number.max, valid, {**state.fields, number.field: tf.where(valid, value, 0)})
    is_other = 1 - tf.cast(is_digit, tf.int32)
    leading = tf.equal(tf.cumsum(is_other, axis=1), 0)
    count = tf.reduce_sum(tf.cast(leading, tf.int32), axis=1)
    # Powers of ten by the number of digits: the last digit counts once.
    powers = np.array(
        [[10 ** max(size - 1 - place, 0) for place in range(number.max)] for size in range(number.max + 1)]
    )
    value = tf.reduce_sum(tf.where(leading, digits, 0) * tf.gather(tf.constant(powers, tf.int32), count), axis=1)
    return _State(state.position + count, state.valid & (count >= number.min), {**state.fields, number.field: value})


def _read_word(text: tf.Tensor, state: _State, word: Word) -> _State:
    found = _bytes(text, state.position, word.width)
    lower = tf.where((found >= ord("A")) & (found <= ord("Z")), found + (ord("a") - ord("A")), found)
    table = np.full([len(word.words), word.width], _ANY, np.int32)
    for row, each in zip(table, word.words, strict=True):
        row[: len(each)] = list(each.encode())
    matches = tf.reduce_all(tf.equal(lower[:, tf.newaxis], table[np.newaxis]) | (table[np.newaxis] == _ANY), axis=2)
    chosen = tf.cast(matches, tf.int32)
    lengths = tf.constant([[len(each) for each in word.words]], tf.int32)
    place = tf.reduce_sum(chosen * tf.constant([list(range(1, len(word.words) + 1))], tf.int32), axis=1)
    return _State(
        state.position + tf.reduce_sum(chosen * lengths, axis=1),
        state.valid & (place > 0),
        {**state.fields, word.field: place},
    )


def _read_zone(text: tf.Tensor, state: _State) -> _State:
    """Reads a zone. The field ``offset`` has the seconds that it is ahead of UTC."""
    first = _bytes(text, state.position, 1)[:, 0]
    is_utc, is_ahead = tf.equal(first, ord("Z")), tf.equal(first, ord("+"))
    after = state._replace(position=state.position + 1)
    hours = _read_number(text, after, Number("hours", 2, 2))
    colon = tf.cast(tf.equal(_bytes(text, hours.position, 1)[:, 0], ord(":")), tf.int32)
    start = hours._replace(position=hours.position + colon)
    minutes = _read_number(text, start, Number("minutes", 0, 2))
    is_complete = tf.equal(minutes.position, hours.position) | tf.equal(minutes.position, start.position + 2)
    hour, minute = minutes.fields["hours"], minutes.fields["minutes"]
    is_zone = (is_ahead | tf.equal(first, ord("-"))) & (hour <= 23) & (minute <= 59)
    valid = minutes.valid & is_complete & is_zone
    seconds = (hour * 60 + minute) * 60
    offset = tf.where(is_ahead, seconds, -seconds)
    zone = _State(minutes.position, valid, {**state.fields, "offset": offset})
    utc = _State(after.position, after.valid, {**state.fields, "offset": tf.zeros_like(offset)})
    return _chosen(is_utc, utc, zone)


def _chosen(condition: tf.Tensor, first: _State, second: _State) -> _State:
    """One state or the other, row by row. A field that only one of them has is 0 in the other."""
    zero = tf.zeros_like(condition, tf.int32)
    names = dict.fromkeys((*first.fields, *second.fields))
    return _State(
        tf.where(condition, first.position, second.position),
        tf.where(condition, first.valid, second.valid),
        {name: tf.where(condition, first.fields.get(name, zero), second.fields.get(name, zero)) for name in names},
    )


def _moments(state: _State, zero: tf.Tensor) -> Moments:
    """Puts the fields together."""
    fields, valid = state.fields, state.valid
    days = zero
    if "year" in fields or "short_year" in fields:
        year = fields["year"] if "year" in fields else _full_year(fields["short_year"])
        month, day = _month(fields, zero), fields.get("day", zero + 1)
        valid &= is_date(year, month, day)
        days = tf.where(valid, days_from_civil(year, month, day), 0)
    hour, minute, second = (fields.get(name, zero) for name in ("hour", "minute", "second"))
    if "hour_12" in fields:
        valid &= (fields["hour_12"] >= 1) & (fields["hour_12"] <= 12)
        hour = tf.math.floormod(fields["hour_12"], 12) + 12 * (fields["half"] - 1)
    valid &= (hour <= 23) & (minute <= 59) & (second <= 59)
    seconds = (hour * 60 + minute) * 60 + second - fields.get("offset", zero)
    carried = seconds // 86_400  # into the day before or after
    return Moments(tf.where(valid, days + carried, 0), tf.where(valid, seconds - carried * 86_400, 0), valid)


def _full_year(short: tf.Tensor) -> tf.Tensor:
    return tf.where(short <= LAST_YEAR_2000, short + 2000, short + 1900)


def _month(fields: Mapping[str, tf.Tensor], zero: tf.Tensor) -> tf.Tensor:
    if "quarter" in fields:
        return tf.where(fields["quarter"] <= 4, 3 * fields["quarter"] - 2, 0)
    return fields.get("month", fields.get("month_name", zero + 1))
