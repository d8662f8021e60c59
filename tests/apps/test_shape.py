"""The five apps have the same shape, and import of Wherry only what it exports, as a stranger's app would."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import wherry
from tests.docs.blocks import ROOT
from wherry.service.access import rules

APPS = ("body", "checkup", "evals", "interview", "tutor")
HOUSE = ROOT / "src" / "wherry_apps"
PARTS = ("README.md", "tables", "rules", "service", "api", "cli", "demo", "migrations")


def places(app: str) -> list[Path]:
    return sorted((HOUSE / app).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of everything a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("part", PARTS)
def test_every_app_has_the_same_parts(app: str, part: str) -> None:
    folder = HOUSE / app
    assert (folder / part).exists() or (folder / f"{part}.py").exists()


@pytest.mark.parametrize("app", APPS)
def test_an_app_imports_of_wherry_only_what_it_exports(app: str) -> None:
    for path in places(app):
        for module, name in imported(path):
            where = f"{path.relative_to(HOUSE)} imports {module} {name}"
            if module == "wherry":
                assert not name or name in wherry.__all__, where
            assert not module.startswith("wherry."), where
            assert not module.startswith("wherry_apps.") or module.split(".")[1] == app, where


@pytest.mark.parametrize("app", APPS)
def test_what_an_app_uses_of_wherry_is_exported(app: str) -> None:
    for path in places(app):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "wherry":
                assert node.attr in wherry.__all__, f"{path.relative_to(HOUSE)}:{node.lineno} uses wherry.{node.attr}"


@pytest.mark.parametrize("app", APPS)
def test_an_app_is_installed_with_all_its_parts(app: str) -> None:
    from wherry.apps.installed import find

    found = find(app)
    assert found.name == app
    assert found.about
    for part in ("commands", "router", "service"):
        assert found.load(part) is not None, f"{app} has no {part}"


@pytest.fixture(scope="module")
def everything() -> TestClient:
    from wherry.apps.installed import installed

    return TestClient(wherry.create_app(wherry.Settings(), installed()), raise_server_exceptions=False)


def test_nothing_of_any_app_is_reachable_without_a_key(everything: TestClient, shared_home: Path) -> None:
    with wherry.Keys() as keys:
        keys.prepare()
    asked = 0
    for path, methods in everything.app.openapi()["paths"].items():  # type: ignore[attr-defined]
        if not path.startswith("/api/"):
            continue
        for method in methods:
            answered = everything.request(method.upper(), path.replace("{", "").replace("}", ""))
            assert answered.status_code == 401, f"{method} {path}: {answered.status_code} {answered.text}"
            asked += 1
    assert asked > 60


def test_no_endpoint_of_an_app_is_open_to_anybody(everything: TestClient) -> None:
    declared = {path: found for _, path, found in rules(everything.app) if path.startswith("/api/")}  # type: ignore[arg-type]
    assert {app for app in APPS if any(path.startswith(f"/api/{app}/") for path in declared)} == set(APPS)
    assert all(found <= {"reads", "writes", "operates"} and found for found in declared.values())
