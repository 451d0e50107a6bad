"""What to leave out: checks the options of ``ablate`` before anything runs."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from artifacts.thresholds import bounds_of
from custom_components.ablation.settings import AblationSettings
from pipeline.config.errors import ConfigError, unknown_name
from pipeline.config.settings import Config
from pipeline.config.yaml_file import read_yaml


@dataclasses.dataclass(frozen=True)
class AblationOptions:
    """Options of ``ablate``, as given.

    Attributes:
        groups: YAML file of groups of columns, by name.
        columns: Leave out only these columns.
        repeats: Number of seeds per training.
        margin: Differences up to this fraction of the gain over the trivial model count as nothing.
    """

    groups: str | None
    columns: Sequence[str]
    repeats: int
    margin: float


def ablation_settings(config: Config, options: AblationOptions) -> AblationSettings:
    """Checks the options against the settings.

    Raises:
        ConfigError: A column is not one of the features', or the groups cannot be used.
    """
    known = config.features.columns
    columns = _columns(options.columns, known) or list(known)
    groups = _groups(Path(options.groups), known) if options.groups else {}
    policy = config.evaluation
    wanted = [
        each.metric
        for each in policy.thresholds
        if not each.slice and any(bound.kind != "change" for bound in bounds_of(each))
    ]
    return AblationSettings(columns, groups, options.repeats, options.margin, wanted, policy.weighted)


def _columns(given: Sequence[str], known: Sequence[str]) -> list[str]:
    """The columns of each option: one, or several with commas between them."""
    found: list[str] = []
    for value in given:
        found += [value] if value in known else [name.strip() for name in value.split(",")]
    for name in found:
        if name not in known:
            raise ConfigError(unknown_name("--columns", "column of the features", name, known))
    return list(dict.fromkeys(found))


def _groups(path: Path, known: Sequence[str]) -> Mapping[str, Sequence[str]]:
    expected = "expected a list of columns, such as 'place: [city, zip]'"
    groups = read_yaml(path, "groups, such as 'place: [city, zip]'")
    if not groups:
        raise ConfigError(f"{path}: found no group; {expected}")
    for name, columns in groups.items():
        if not isinstance(columns, list) or not all(isinstance(each, str) for each in columns):
            raise ConfigError(f"{path}: {name}: found {columns!r}; {expected}")
        if not columns:
            raise ConfigError(f"{path}: {name}: found no column; {expected}")
        for column in columns:
            if column not in known:
                raise ConfigError(f"{path}: {unknown_name(name, 'column of the features', column, known)}")
        if len(set(columns)) != len(columns):
            raise ConfigError(f"{path}: {name}: found a column twice; expected each once")
    return groups
