import re
from pathlib import Path

import pytest
from tiny_problem import settings_file

from pipeline.ablation.request import AblationOptions, ablation_settings
from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_config
from pipeline.config.settings import Config


@pytest.fixture(name="config")
def _config(tmp_path: Path) -> Config:
    return load_config(settings_file(tmp_path), data=str(tmp_path))


def options(folder: Path, groups: str | None = None, columns: tuple[str, ...] = ()) -> AblationOptions:
    path = folder / "groups.yaml"
    if groups is not None:
        path.write_text(groups)
    return AblationOptions(None if groups is None else str(path), columns, 3, 0.02)


def test_all_columns_of_the_features_are_left_out(config: Config, tmp_path: Path) -> None:
    found = ablation_settings(config, options(tmp_path, "money: [fare, payment]"))
    assert (list(found.columns), found.groups) == (["fare", "payment"], {"money": ["fare", "payment"]})
    assert (found.repeats, found.margin, list(found.metrics)) == (3, 0.02, ["accuracy"])
    assert type(found).from_json(found.to_json()) == found


@pytest.mark.parametrize("given", [("payment",), ("payment, payment",), ("payment", "payment")])
def test_columns_are_chosen(config: Config, tmp_path: Path, given: tuple[str, ...]) -> None:
    assert ablation_settings(config, options(tmp_path, columns=given)).columns == ["payment"]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("", "found NoneType; expected a mapping of groups, such as 'place: [city, zip]'"),
        ("{}", "found no group; expected a list of columns"),
        ("money: []", "money: found no column; expected a list of columns"),
        ("money: fare", "money: found 'fare'; expected a list of columns"),
        ("money: [fare, 3]", "money: found ['fare', 3]; expected a list of columns"),
        ("money: [fare, fare]", "money: found a column twice"),
        (
            "money: [fare, paymet]",
            "money: unknown column of the features 'paymet'; allowed: fare, payment; did you mean 'payment'?",
        ),
        ("money: [tips]", "money: unknown column of the features 'tips'; allowed: fare, payment"),
        ("[fare]", "found list; expected a mapping"),
        ("money: [fare", "expected valid YAML"),
    ],
)
def test_groups_that_cannot_be_used_are_refused(config: Config, tmp_path: Path, groups: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        ablation_settings(config, options(tmp_path, groups))
    assert str(caught.value).startswith(str(tmp_path / "groups.yaml"))


def test_an_unknown_column_is_refused(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--columns: unknown column of the features 'fares'.*did you mean 'fare'"):
        ablation_settings(config, options(tmp_path, columns=("payment,fares",)))


def test_a_missing_file_is_refused(config: Config) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: No such file"):
        ablation_settings(config, AblationOptions("nowhere.yaml", (), 3, 0.02))
