import dataclasses
import re
import typing

import pytest
from conftest import ROOT

from models.features import KINDS
from models.settings import Hyperparameters
from pipeline.config.metrics import METRICS
from pipeline.config.settings import Config


def fields(record: object) -> set[str]:
    """Names of the fields of a record and of the records in it."""
    names: set[str] = set()
    if isinstance(record, type) and dataclasses.is_dataclass(record):
        for name, annotation in typing.get_type_hints(record).items():
            names |= {name} | fields(annotation)
    for argument in typing.get_args(record):
        names |= fields(argument)
    return names


@pytest.mark.parametrize(
    "name",
    sorted(
        fields(Config) | fields(Hyperparameters) | set(KINDS) | {name for names in METRICS.values() for name in names}
    ),
)
def test_settings_page_names_every_key(name: str) -> None:
    page = (ROOT / "docs/settings.md").read_text()
    assert re.search(rf"\b{name}\b", page), f"docs/settings.md says nothing of '{name}'"


@pytest.mark.parametrize("page", ["README.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"


def test_every_component_has_a_page_of_its_own() -> None:
    for folder in (ROOT / "custom_components").iterdir():
        if (folder / "__init__.py").exists():
            assert (folder / "README.md").is_file(), folder.name
