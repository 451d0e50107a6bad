"""How an endpoint splits its traffic between versions."""

from collections.abc import Mapping

ALL = 100  # percent


def split_traffic(new: str, traffic: int, earlier: Mapping[str, int]) -> dict[str, int]:
    """Gives a new version its part of the traffic. The other versions keep the proportions between them.

    Args:
        new: The new version.
        traffic: Its percentage. If no other version has traffic, it gets 100.
        earlier: Traffic of the other versions, in any unit.

    Returns:
        Percentage by version, with a sum of exactly 100. Versions without traffic are left out. Percentages are rounded
        by the largest remainder method.

    >>> split_traffic("v3", 10, {"v1": 30, "v2": 70})
    {'v1': 27, 'v2': 63, 'v3': 10}
    >>> split_traffic("v3", 10, {})
    {'v3': 100}
    """
    total = sum(earlier.values())
    if not total:
        return {new: ALL}
    rest = ALL - traffic
    percentages = {key: rest * value // total for key, value in earlier.items()}
    by_remainder = sorted(earlier, key=lambda key: (-(rest * earlier[key] % total), -earlier[key], key))
    for key in by_remainder[: rest - sum(percentages.values())]:
        percentages[key] += 1
    return {key: value for key, value in {**percentages, new: traffic}.items() if value}
