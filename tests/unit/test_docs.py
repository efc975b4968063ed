"""What the documentation names is there: commands, settings, files, links."""

import re
from pathlib import Path

import pytest

from mlops_stack import settings
from tests.unit.conftest import CHECKOUT

PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")])
# Keys of Pulumi itself
_OF_PULUMI = {"aws:region"}


def _ids(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def _targets() -> set[str]:
    found = re.findall(r"^([a-z][a-z0-9-]*):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_make_command_is_there(page: Path) -> None:
    asked = set(re.findall(r"(?:`|^|&& )make ([a-z][a-z0-9-]*)", page.read_text(), re.MULTILINE))
    assert asked <= _targets()


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_variable_of_a_make_command_is_known(page: Path) -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    for command in re.findall(r"`make ([^`]+)`", page.read_text()):
        for name in re.findall(r"\b([A-Z][A-Z_]+)=", command):
            assert re.search(rf"\b(GIVEN_)?{name}\b", makefile), f"make {command}"


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_setting_is_there(page: Path) -> None:
    asked = set(re.findall(r"pulumi config (?:set|get) ([a-z][A-Za-z0-9:]*)", page.read_text()))
    assert asked <= {*settings.keys(), *_OF_PULUMI}


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_program_is_there(page: Path) -> None:
    text = page.read_text()
    shown = re.findall(r"`(?:workloads|platform)/([\w/]+)\.py`", text)  # which the page adds
    for module in re.findall(r"python -m ([a-z_.]+)", text):
        if module.replace(".", "/") in shown:
            continue
        found = list(CHECKOUT.glob(f"*/{module.replace('.', '/')}*"))
        found += list(CHECKOUT.glob(f"{module.replace('.', '/')}*"))
        assert found, f"python -m {module}"
    for file in re.findall(r"(?:python|pytest) ([a-z0-9_]+/[a-z0-9_/]+(?:\.py)?)", text):
        assert (CHECKOUT / file).exists(), file


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_heading_that_is_linked_to_is_there(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", page.read_text()):
        if "://" in target:
            continue
        linked = page.parent / target if target else page
        headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
        assert anchor in {_anchor(heading) for heading in headings}, f"{target}#{anchor}"


def _anchor(heading: str) -> str:
    """Return the name that a heading has in links, as GitHub makes it."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.replace(" ", "-")
