"""A technique, a check and an importer are one new file each, and what is wrong with the file is said of the file."""

from pathlib import Path
from types import ModuleType

import pytest

from catalog_schemas.errors import ConfigError
from flows.parameters import MakeVariantsParameters
from tasks import checks, importers, techniques
from tasks.checks import check_names, find_check
from tasks.imaging.marking import SOURCE_URIS
from tasks.importers import find_importer
from tasks.techniques import find_guided, find_technique, technique_names

DOCS = Path(__file__).parents[3] / "docs"
TECHNIQUE = """
USES_ADAPTER = False
DIMENSIONS = frozenset({"colour"})
SOURCE_TYPE = "none"
def prompt(words): return ""
def make(variant, material): return material.photo(variant)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whose files stand beside those of all three folders."""
    for package in (techniques, checks, importers):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    return tmp_path


def _lacks(package: ModuleType, name: str, members: str) -> str:
    return rf"^{package.__name__.replace('.', '/')}/{name}\.py lacks {members}: "


def test_a_new_file_is_a_technique_a_check_or_an_importer_and_one_with_an_underscore_helps_them(folder: Path) -> None:
    (folder / "new_way.py").write_text(TECHNIQUE)
    (folder / "new_check.py").write_text("def measure(subject): return 1.0")
    (folder / "new_kind.py").write_text("def products(file, report): yield")
    (folder / "_shared.py").touch()
    assert "new_way" in technique_names()
    assert find_technique("new_way").SOURCE_TYPE == "none"
    assert find_guided("new_way") is None
    assert find_check("new_check").measure(None) == 1.0  # type: ignore[arg-type]
    assert callable(find_importer("new_kind").products)
    assert not {"_shared"} & {*technique_names(), *check_names(), *importers.kinds()}


def test_a_file_that_cannot_be_loaded_is_not_said_to_be_missing(folder: Path) -> None:
    (folder / "needy.py").write_text("import no_such_library")
    for find in (find_technique, find_check, find_importer):
        with pytest.raises(ModuleNotFoundError, match="no_such_library"):
            find("needy")


def test_a_file_that_lacks_some_of_its_contract_is_told_all_that_it_lacks(folder: Path) -> None:
    (folder / "half.py").write_text("def prompt(words): return ''\n")
    (folder / "half_guided.py").write_text(TECHNIQUE + "\ndef guide(variant, material): return None\n")
    for find, package, lacking in (
        (find_technique, techniques, "DIMENSIONS, SOURCE_TYPE, USES_ADAPTER, make"),
        (find_check, checks, "measure"),
        (find_importer, importers, "products"),
    ):
        with pytest.raises(ConfigError, match=_lacks(package, "half", lacking)):
            find("half")
    with pytest.raises(ConfigError, match=_lacks(techniques, "half_guided", "GUIDE, scene, strength")):
        find_guided("half_guided")


def test_a_name_without_a_file_comes_with_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError, match=r"variants\.techniques: no technique 'composit' \(did you mean 'composite'"):
        find_technique("composit")
    with pytest.raises(ConfigError, match=r"checks: no check 'contrst' \(did you mean 'contrast'"):
        find_check("contrst")


def test_every_technique_varies_with_what_there_is_and_is_marked_as_the_standard_names_it() -> None:
    for name in technique_names():
        find_guided(name)
        assert not find_technique(name).DIMENSIONS - {"scene", "colour", "background", "seed"}
        assert find_technique(name).SOURCE_TYPE in {"none", *SOURCE_URIS}


def test_every_technique_is_explained_in_the_documents_and_in_the_form() -> None:
    form = MakeVariantsParameters.model_fields["techniques"].description or ""
    for name in technique_names():
        assert f"| `{name}` |" in (DOCS / "techniques.md").read_text()
        assert f"{name}:" in form


def test_every_check_is_explained_in_the_documents() -> None:
    for name in check_names():
        assert f"| `{name}` |" in (DOCS / "checks.md").read_text()
