"""How an endpoint shares its requests among versions."""

from collections.abc import Mapping

ALL = 100  # per cent


def share(new: str, traffic: int, earlier: Mapping[str, int]) -> dict[str, int]:
    """Gives a version its share, and lets the others share the rest in proportion as before.

    Args:
        new: The version.
        traffic: Its share, in per cent; all of it where no other has any.
        earlier: The others' shares, in any unit.

    Returns:
        Per cent by version, summing to exactly 100; a version without any is not named. What rounding leaves over goes
        to those that it took most from (the method of largest remainders).
    """
    total = sum(earlier.values())
    if not total:
        return {new: ALL}
    rest = ALL - traffic
    shares = {key: rest * value // total for key, value in earlier.items()}
    taken_most = sorted(earlier, key=lambda key: (-(rest * earlier[key] % total), -earlier[key], key))
    for key in taken_most[: rest - sum(shares.values())]:
        shares[key] += 1
    return {key: value for key, value in {**shares, new: traffic}.items() if value}
