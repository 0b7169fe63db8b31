"""What leaves the checkout: the wheel, and the Makefile's sentences on a machine that lacks something."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, unpacked as an installation would."""
    pytest.importorskip("hatchling", reason="hatchling comes with the test extra")
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
    [file] = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run_from(wheel: Path, elsewhere: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workbench.cli", *words],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": str(wheel), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_wheel_holds_both_packages_and_the_assets(wheel: Path) -> None:
    assert sorted(path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")) == [
        "probes",
        "workbench",
    ]
    for held in ("workbench/py.typed", "probes/decode.py", "workbench/_assets/examples/examples.json"):
        assert (wheel / held).is_file(), held
    beside = [
        path.relative_to(ROOT) for path in (ROOT / "workbench").rglob("*") if path.suffix in (".css", ".js", ".toml")
    ]
    assert beside
    assert all((wheel / path).is_file() for path in beside)


def test_the_command_of_the_wheel_finds_its_assets_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    found = run_from(wheel, tmp_path, "list", "checkpoints", "--json")
    assert found.returncode == 0, found.stderr
    rows = {row["name"]: row["path"] for row in json.loads(found.stdout)}
    assert "tte-flash" in rows
    assert all(Path(path).is_relative_to(wheel) for path in rows.values())


def test_the_bundled_checkpoint_of_the_wheel_thinks(wheel: Path, tmp_path: Path) -> None:
    examples = wheel / "workbench" / "_assets" / "examples"
    first = json.loads((examples / "examples.json").read_text())[0]
    found = run_from(wheel, tmp_path, "inspect", str(examples / first["image"]), first["query"], "--json")
    assert found.returncode == 0, found.stderr
    assert "answer" in json.loads(found.stdout)["thought"]["text"]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("PYTHON=", "No Python 3.11 or newer was found"),
        ("PYTHON=/bin/false", "is older than Python 3.11, or does not run"),
        ("NEEDED_GIB=1000000000", "GiB of disk are free here; the packages need 1000000000"),
    ],
)
def test_a_failed_step_of_make_says_what_to_do(bare: Path, setting: str, sentence: str) -> None:
    found = subprocess.run(["make", setting, "test"], cwd=bare, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode != 0
    assert sentence in found.stdout
    assert not (bare / ".venv").exists()


def test_every_direct_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = {line.partition("==")[0].lower().replace("_", "-"): line for line in lines}
    for dependency in named:
        name = dependency.split("[")[0].split("=")[0].split(">")[0].strip().lower()
        assert name in pins, dependency
    assert all("==" in line and "+" not in line and "/" not in line for line in lines)
