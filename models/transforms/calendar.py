"""The Gregorian calendar by integer arithmetic, for all rows at once.

Source: Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, https://howardhinnant.github.io/date_algorithms.html,
``days_from_civil`` and ``civil_from_days``. They count years from 1 March, so that a leap day is the last of its year.
All tensors are int32 of one shape. Years are 1 to 9999.
"""

from typing import NamedTuple

import tensorflow as tf

EPOCH = 719_468  # days from 1 March of year 0 to 1 January 1970
ERA_YEARS, ERA_DAYS = 400, 146_097
_MONTH_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Civil(NamedTuple):
    """Dates.

    Attributes:
        year: The year.
        month: 1 to 12.
        day: 1 to 31.
        day_of_year: 1 to 366.
    """

    year: tf.Tensor
    month: tf.Tensor
    day: tf.Tensor
    day_of_year: tf.Tensor


def days_from_civil(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """Days from 1970 to each date."""
    year = tf.where(month <= 2, year - 1, year)
    era = year // ERA_YEARS
    year_of_era = year - era * ERA_YEARS
    march_based = tf.where(month > 2, month - 3, month + 9)
    day_of_year = (153 * march_based + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * ERA_DAYS + day_of_era - EPOCH


def civil_from_days(days: tf.Tensor) -> Civil:
    """The date of each number of days from 1970."""
    shifted = days + EPOCH
    era = shifted // ERA_DAYS
    day_of_era = shifted - era * ERA_DAYS
    leap_days = day_of_era // 1460 - day_of_era // 36_524 + day_of_era // 146_096
    year_of_era = (day_of_era - leap_days) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_based = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * march_based + 2) // 5 + 1
    after_february = march_based < 10
    month = tf.where(after_february, march_based + 3, march_based - 9)
    year = year_of_era + era * ERA_YEARS + tf.cast(month <= 2, tf.int32)
    leap = tf.cast(is_leap(year), tf.int32)
    return Civil(year, month, day, tf.where(after_february, day_of_year + 60 + leap, day_of_year - 305))


def day_of_week(days: tf.Tensor) -> tf.Tensor:
    """0 for Monday to 6 for Sunday. 1970 began on a Thursday."""
    return tf.math.floormod(days + 3, 7)


def is_leap(year: tf.Tensor) -> tf.Tensor:
    """Whether each year has 366 days."""
    fourth, hundredth, four_hundredth = (tf.equal(tf.math.floormod(year, each), 0) for each in (4, 100, 400))
    return (fourth & ~hundredth) | four_hundredth


def is_date(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """Whether the calendar has each date, given any non-negative numbers."""
    known = (month >= 1) & (month <= 12)
    length = tf.gather(tf.constant(_MONTH_DAYS), tf.where(known, month, 0))
    length += tf.cast(tf.equal(month, 2) & is_leap(year), tf.int32)
    return known & (year >= 1) & (day >= 1) & (day <= length)
