"""docs/extending.md does what it says: its code is taken out of the page and run as written."""

import configparser
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench import store
from workbench.cli import main
from workbench.errors import BadInput
from workbench.probe import PROBES, TraceProbe, build
from workbench.render.html import panel_html
from workbench.render.text import panel_text
from workbench.types import ProbeResult, Sample, Trace

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The page's only code block of a language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return found


@pytest.fixture
def drift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[TraceProbe]]:
    """The page's probe, found as one new file in `probes/`; the registry forgets it afterwards."""
    import probes

    before = dict(PROBES._entries) if PROBES.names() else {}
    (tmp_path / "drift.py").write_text(block("python"), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(probes, "__path__", [*probes.__path__, str(tmp_path)])
        patch.setattr(PROBES, "_entries", before)
        patch.setattr(PROBES, "_discovered", False)
        importlib.invalidate_caches()
        assert "drift" in PROBES.names()
        yield PROBES.get("drift")  # pyright: ignore[reportReturnType]
        sys.modules.pop("probes.drift")
        del probes.drift  # pyright: ignore[reportAttributeAccessIssue]
    assert "drift" not in PROBES.names()


@pytest.fixture
def trace(tiny_model: Any) -> Trace:
    return tiny_model.trace([tiny_model.prepare(Sample(id="a", text="What is at the centre?"))])[0]


def check_of(result: ProbeResult) -> Any:
    [check] = result.checks
    return check


def test_it_measures_and_is_shown(drift: type[TraceProbe], trace: Trace) -> None:
    probe = build(drift, {})
    assert isinstance(probe, TraceProbe)
    result = probe.measure(trace)
    distance = result.measure("distance")
    assert distance.values.shape == (2, trace.n_think + 1)
    assert distance.values[0, 0] == distance.values[1, 0] > 0
    assert distance.values[0, -1] == pytest.approx(0, abs=1e-6)
    assert distance.values[0, 1] == pytest.approx(1 - trace.stepwise[1] @ trace.embedding, abs=1e-6)
    assert store.dumps(store.loads(ProbeResult, store.dumps(result))) == store.dumps(result)
    for panel in probe.view(result):
        assert panel_html(panel, result).strip()
        assert panel_text(panel, result).strip()
    relative = build(drift, {"relative": True})
    assert isinstance(relative, TraceProbe)
    assert relative.measure(trace).measure("distance").values[0, 0] == 1


def test_its_control_tells_a_straight_path_from_a_detour(drift: type[TraceProbe], trace: Trace) -> None:
    def along(angles: list[float]) -> Trace:
        plane = np.zeros((len(angles), trace.embedding.size), dtype=np.float32)
        plane[:, 0], plane[:, 1] = np.cos(angles), np.sin(angles)
        return replace(trace, stepwise=plane, embedding=plane[-1])

    probe = build(drift, {})
    assert isinstance(probe, TraceProbe)
    straight = probe.measure(along([0.0, 0.3, 0.6, 0.9, 1.2]))
    np.testing.assert_allclose(straight.measure("distance").values[0], 1 - np.cos([1.2, 0.9, 0.6, 0.3, 0.0]), atol=1e-6)
    assert check_of(straight).passed
    detour = probe.measure(along([0.0, -1.0, -2.0, -1.0, 0.3]))
    assert not check_of(detour).passed
    assert any(getattr(panel, "kind", "") == "warning" for panel in probe.view(detour))
    with pytest.raises(BadInput, match="edits"):
        probe.measure(replace(trace, stepwise=trace.stepwise[-1:]))


def test_a_misspelt_flag_is_answered_as_the_page_says(
    drift: type[TraceProbe], tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "what ?", "--checkpoint", str(tiny_checkpoint), "--drift.walk", "50"]) == 2
    [promised] = re.findall(r'is answered with "(.*?)"', PAGE)
    assert promised in capsys.readouterr().err


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pip leaves it: the page's module, and its entry point."""
    folder = tmp_path_factory.mktemp("site")
    [(group, points)] = tomllib.loads(block("toml"))["project"]["entry-points"].items()
    for module in points.values():
        (folder / f"{module}.py").write_text(block("python"), encoding="utf-8")
    info = folder / "thinkscope_drift-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thinkscope-drift\nVersion: 0.1.0\n")
    listed = configparser.ConfigParser()
    listed[group] = points
    with (info / "entry_points.txt").open("w") as file:
        listed.write(file)
    return folder


def run(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_entry_point_is_listed(site: Path) -> None:
    found = run(site, "-m", "workbench.cli", "list", "probes", "--json")
    assert found.returncode == 0, found.stderr
    [row] = [row for row in json.loads(found.stdout) if row["name"] == "drift"]
    assert [field["flag"] for field in row["fields"]] == ["--drift.walks", "--drift.relative"]
    assert row["about"].startswith("Follow the embedding")


def test_the_entry_point_runs_in_the_terminal(site: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    asked = (
        "-m",
        "workbench.cli",
        "inspect",
        "What is it?",
        "--checkpoint",
        str(tiny_checkpoint),
        "--drift.walks",
        "50",
    )
    found = run(site, *asked, "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["results"]["drift"]["parameters"] == {"walks": 50, "relative": False}
    report = tmp_path / "report.html"
    assert run(site, *asked, "--html", str(report)).returncode == 0
    assert "Distance to the end" in report.read_text(encoding="utf-8")


def test_the_contract_finds_it_by_itself(site: Path) -> None:
    found = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract", "-k", "drift")
    assert found.returncode == 0, found.stdout[-3000:]
    passed = re.search(r"(\d+) passed", found.stdout)
    assert passed
    assert int(passed[1]) >= 20


def test_every_path_and_name_on_the_page_is_there() -> None:
    from workbench.data.reader import READERS
    from workbench.export.engine import ENGINES
    from workbench.models.registries import FAMILIES, FORMATS
    from workbench.recipes.recipe import RECIPES

    for path in re.findall(r"`((?:workbench|tests|docs|probes)/[\w/.]+)`", PAGE):
        assert (ROOT / path).exists() or path == "probes/drift.py" or "NAME" in path, path
    groups = set(re.findall(r"`(thinkscope\.\w+)`", PAGE))
    assert groups == {registry._group for registry in (PROBES, FAMILIES, FORMATS, RECIPES, READERS, ENGINES)}
