"""FarmHash's Fingerprint64 with operators that TFLite has, so that hashed features are the same on a device.

TensorFlow's ``StringToHashBucketFast`` is Fingerprint64 modulo the number of buckets. TFLite cannot read the bytes of a
string, so a text is passed as its bytes. It has no 64-bit shift or XOR either, so these are computed on pairs of 32-bit
numbers. Source of the arithmetic: FarmHash, ``farmhashna::Hash64`` (https://github.com/google/farmhash).
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from serving.edge import NO_BYTE

TEXT_BYTES = 64  # for longer texts the hash takes another branch, with a loop

K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
DIGITS = 19  # of the largest int64


def hash_bucket(text: tf.Tensor, buckets: Sequence[int]) -> tf.Tensor:
    """Equivalent of ``tf.strings.to_hash_bucket_fast``.

    Args:
        text: Bytes, padded with :data:`NO_BYTE`, int32 [N, 64].
        buckets: Number of buckets for each text, below 2^24, [N].

    Returns:
        int64 [N].
    """
    low, high = _columns(tf.cast(tf.bitcast(fingerprint(text), tf.int32), tf.int64))
    low, high = (tf.where(half < 0, half + (1 << 32), half) for half in (low, high))
    modulus = tf.constant(buckets, tf.int64)
    return tf.math.floormod(tf.math.floormod(high, modulus) * (1 << 32) + low, modulus)


def decimal_text(numbers: tf.Tensor) -> tf.Tensor:
    """Equivalent of ``tf.strings.as_string``, as bytes.

    Args:
        numbers: int64 [N], above the smallest int64.

    Returns:
        int32 [N, 64], padded with :data:`NO_BYTE`.
    """
    powers = tf.constant([10**power for power in range(DIGITS)], tf.int64)
    negative = tf.cast(numbers < 0, tf.int32)[:, tf.newaxis]
    size = tf.where(numbers < 0, -numbers, numbers)[:, tf.newaxis]
    # TFLite has no int64 division: take the remainder below each digit, and count how many units of it there are.
    below = tf.concat([tf.math.floormod(size, powers[1:]), size], axis=1)
    tenths = powers[:, tf.newaxis] * tf.range(1, 10, dtype=tf.int64)
    digits = tf.reduce_sum(tf.cast(below[:, :, tf.newaxis] >= tenths, tf.int32), axis=2)
    length = 1 + tf.reduce_sum(tf.cast(size >= powers[1:], tf.int32), axis=1, keepdims=True)
    place = length - 1 - tf.range(DIGITS + 1)[tf.newaxis, :] + negative  # power of ten of the digit at each position
    chosen = tf.gather(digits, tf.clip_by_value(place, 0, DIGITS - 1), axis=1, batch_dims=1)
    byte_values = tf.where(place < 0, NO_BYTE, chosen + ord("0"))
    byte_values = tf.where(place < length, byte_values, ord("-"))
    return tf.pad(byte_values, [[0, 0], [0, TEXT_BYTES - DIGITS - 1]], constant_values=NO_BYTE)


def fingerprint(text: tf.Tensor) -> tf.Tensor:
    """FarmHash's Fingerprint64 of texts of up to 64 bytes.

    FarmHash has one branch per range of lengths. The time on a device depends on the number of operators, so the
    branches share as much as possible: all end in the same mixing of two words, and differ in the words.

    Args:
        text: Bytes, padded with :data:`NO_BYTE`, int32 [N, 64] with a static N.

    Returns:
        int64 [N] with the 64 bits of the hash.
    """
    length = tf.reduce_sum(tf.cast(text >= 0, tf.int32), axis=1)
    size = tf.cast(length, tf.int64)
    byte_values = tf.maximum(text, 0)
    last = tf.gather(byte_values, tf.maximum(length[:, tf.newaxis] + tf.range(-32, 0), 0), axis=1, batch_dims=1)
    start = _columns(_words(byte_values[:, :32]))  # the 8 bytes at 0, 8, 16 and 24
    end = _columns(_words(last))  # the 8 bytes at 32, 24, 16 and 8 from the end
    multiplier = _constant(K2) + size * 2

    # 17 to 32 bytes: mix once. Above 32 bytes: mix the result again.
    a = start[0] * tf.where(size <= 32, _constant(K1), _constant(K2))
    c, d = end[3] * multiplier, end[2] * _constant(K2)
    sum_ab, rotated_c, rotated_b, rotated_end, rotated_a = _rotate(
        [a + start[1], c, start[1] + _constant(K2), end[3], start[0] + _constant(K2)], [43, 30, 18, 37, 25]
    )
    y, w = sum_ab + rotated_c + d, a + rotated_b + c
    z = _multiplied(_mixed(y, w, multiplier), multiplier)
    e, f = start[2] * multiplier, start[3]
    g, h = (y + end[0]) * multiplier, (z + end[1]) * multiplier
    sum_ef, rotated_g, sum_fa = _rotate([e + f, g, f + a], [43, 30, 18])
    left, right = (
        tf.where(size <= 32, upper, above) for upper, above in ((y, sum_ef + rotated_g + h), (w, e + sum_fa + g))
    )
    # 8 to 16 bytes, then 4 to 7.
    eight = start[0] + _constant(K2)
    left = tf.where(size > 16, left, rotated_end * multiplier + eight)
    right = tf.where(size > 16, right, (rotated_a + end[3]) * multiplier)
    first_four, last_four = _columns(_fours(tf.concat([byte_values[:, :4], last[:, -4:]], axis=1)))
    left = tf.where(size > 7, left, size + first_four * 8)
    right = tf.where(size > 7, right, last_four)
    mixed = tf.where((size > 3)[:, tf.newaxis], _mixed(left, right, multiplier), _short(byte_values, length))
    factor = tf.where(size > 3, multiplier, _constant(K2))
    return tf.where(size > 0, _multiplied(mixed, factor), _constant(K2))


def _short(byte_values: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """The hash of 1 to 3 bytes before the last multiplication, uint32 [N, 2]."""
    places = tf.stack([tf.zeros_like(length), length // 2, tf.maximum(length - 1, 0)], axis=1)
    first, middle, last = _columns(tf.cast(tf.gather(byte_values, places, axis=1, batch_dims=1), tf.int64))
    left, right = first + middle * 256, tf.cast(length, tf.int64) + last * 4
    return _shift_mix(_xor(_halves(left * _constant(K2)), _halves(right * _constant(K0))))


def _mixed(left: tf.Tensor, right: tf.Tensor, multiplier: tf.Tensor) -> tf.Tensor:
    """``HashLen16`` without its last multiplication, uint32 [N, 2]."""
    halves = _halves(right)
    a = _shift_mix(_halves(_multiplied(_xor(_halves(left), halves), multiplier)))
    return _shift_mix(_halves(_multiplied(_xor(halves, a), multiplier)))


def _multiplied(halves: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return tf.bitcast(halves, tf.int64) * factor


def _rotate(words: Sequence[tf.Tensor], bits: Sequence[int]) -> list[tf.Tensor]:
    """Rotates each of the words [N] right by its number of bits, between 1 and 63 and not 32."""
    shape = [words[0].shape[0], 2 * len(words)]
    halves = tf.reshape(tf.bitcast(tf.stack(words, axis=1), tf.int32), shape)
    # For each half of a word: the half that is shifted right, and the half whose lowest bits fill the top.
    shifted = [2 * index + (place if bit < 32 else 1 - place) for index, bit in enumerate(bits) for place in (0, 1)]
    lending = [index + 1 if index % 2 == 0 else index - 1 for index in shifted]
    down = tf.bitcast(tf.gather(halves, shifted, axis=1), tf.uint32)
    up = tf.bitcast(tf.gather(halves, lending, axis=1), tf.uint32)
    count = np.repeat([bit % 32 for bit in bits], 2)
    rotated = tf.bitwise.right_shift(down, tf.constant(count, tf.uint32)) + up * tf.constant(
        1 << (32 - count), tf.uint32
    )
    return _columns(tf.bitcast(tf.reshape(rotated, [shape[0], len(words), 2]), tf.int64))


def _shift_mix(halves: tf.Tensor) -> tf.Tensor:
    """``x ^ (x >> 47)``: XORs the lower half with the upper half shifted by 15. Returns uint32 [N, 2]."""
    shifted = tf.bitwise.right_shift(halves[:, 1:], tf.constant(15, tf.uint32))
    return _xor(halves, tf.concat([shifted, tf.zeros([halves.shape[0], 1], tf.uint32)], axis=1))


def _xor(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.bitwise_xor(left, right)


def _halves(words: tf.Tensor) -> tf.Tensor:
    """The lower and upper 32 bits of words [N], as uint32 [N, 2]."""
    return tf.bitcast(words, tf.uint32)


def _words(byte_values: tf.Tensor) -> tf.Tensor:
    """Converts bytes, int32 [N, 8 W], to little-endian int64 [N, W]."""
    count = byte_values.shape[1] // 8
    return tf.bitcast(tf.reshape(tf.cast(byte_values, tf.uint8), [-1, count, 8]), tf.int64)


def _fours(byte_values: tf.Tensor) -> tf.Tensor:
    """Converts two runs of four bytes, int32 [N, 8], to little-endian unsigned numbers, int64 [N, 2]."""
    places = tf.constant([1, 1 << 8, 1 << 16, 1 << 24], tf.int64)
    return tf.reduce_sum(tf.reshape(tf.cast(byte_values, tf.int64), [-1, 2, 4]) * places, axis=2)


def _columns(matrix: tf.Tensor) -> list[tf.Tensor]:
    """Splits [N, W] into W tensors [N], since TFLite has no ``tf.unstack`` for int64."""
    return [matrix[:, index] for index in range(matrix.shape[1])]


def _constant(bits: int) -> tf.Tensor:
    return tf.constant(bits - (1 << 64) if bits >> 63 else bits, tf.int64)
