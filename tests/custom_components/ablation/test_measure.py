import pytest
from planted import CONFIG, FEATURES, Planted, planted

from artifacts.nodes.ablation import AblationReport
from custom_components.ablation.executor import measure
from custom_components.ablation.settings import AblationSettings
from models.training_settings import ModelConfig

SETTINGS = AblationSettings(list(FEATURES.columns), {}, 2, 0.03, ["auc"])


def ablation(table: Planted, settings: AblationSettings = SETTINGS, config: ModelConfig = CONFIG) -> AblationReport:
    return measure(config, settings, {}, table.splits, table.graph)


@pytest.fixture(name="table", scope="module")
def _table(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return planted(tmp_path_factory.mktemp("planted"))


def test_finds_the_leak_the_duplicates_and_the_noise(table: Planted) -> None:
    report = ablation(table)
    found = {each.name: each for each in report.worths}
    assert {name: each.verdict for name, each in found.items()} == {
        "leak": "leak",
        "signal": "redundant",
        "copy": "redundant",
        "noise": "noise",
        "place": "useful",
        "signal + copy": "useful",
    }
    assert (found["copy"].partner, found["signal"].partner) == ("signal", "copy")
    assert found["signal + copy"].kind == "correlated"
    assert report.trainings == 2 + 6 * 2 + 6
