"""`thinkscope doctor`: what is installed, what is missing, and the line that installs it."""

import argparse
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from workbench.cli._screen import table, write, write_json

_PACKAGES = (
    "torch", "transformers", "gradio", "plotly", "pillow", "numpy", "safetensors", "tokenizers", "accelerate", "peft",
    "captum", "umap-learn", "jaxtyping",
)  # fmt: skip
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "doctor",
        help="versions, devices, what is missing and how to install it",
        description="Print versions, devices and bundled checkpoints, and what is missing with the line that installs it.",
        epilog="example:\n  thinkscope doctor --json",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the report. Returns 1 when something that is needed is missing."""
    report = examine()
    if args.json:
        write_json(report)
    else:
        _write_report(report)
    return 1 if any(item["needed"] for item in report["missing"]) else 0


def examine() -> dict[str, Any]:
    """Look at this machine and this installation."""
    from workbench.assets import bundled_checkpoints, read_card

    packages = {name: _version(name) for name in ("thinkscope", *_PACKAGES)}
    browser = next((path for name in _CHROMIUM if (path := shutil.which(name))), None)
    checkpoints = {
        name: {"path": str(path), "title": read_card(path).title} for name, path in bundled_checkpoints().items()
    }
    return {
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "platform": platform.platform(),
        "packages": packages,
        "devices": _devices() if packages["torch"] else [],
        "memory_gib": _memory_gib(),
        "disk_free_gib": round(shutil.disk_usage(Path.cwd()).free / 2**30, 1),
        "checkpoints": checkpoints,
        "browser": browser,
        "missing": _missing(packages, browser, list(checkpoints)),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices() -> list[dict[str, Any]]:
    import torch

    devices: list[dict[str, Any]] = [{"name": "cpu", "threads": torch.get_num_threads(), "cores": os.cpu_count()}]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        memory = round(facts.total_memory / 2**30, 1)
        devices.append({"name": f"cuda:{index}", "model": facts.name, "memory_gib": memory})
    return devices


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):  # not a POSIX system
        return None


def _missing(packages: dict[str, str | None], browser: str | None, checkpoints: list[str]) -> list[dict[str, Any]]:
    found = [
        {"what": f"package {name}", "needed": True, "install": f"pip install {name}"}
        for name, installed in packages.items()
        if installed is None and name != "thinkscope"
    ]
    if packages["thinkscope"] is None:
        found.append({"what": "package thinkscope", "needed": False, "install": "pip install -e ."})
    if not checkpoints:
        found.append(
            {"what": "bundled checkpoints", "needed": True, "install": "pip install --force-reinstall thinkscope"}
        )
    if int((packages["pillow"] or "99").split(".")[0]) < 13:
        # gradio 6.31 declares pillow<13, so that pip alone does not get here.
        line = "pip install --no-deps pillow==13.0.0"
        found.append({"what": "Pillow 13, which mends its JPEG decoder", "needed": False, "install": line})
    if browser is None:
        line = "apt-get install -y chromium"
        found.append({"what": "Chromium, for the browser tests and screenshots", "needed": False, "install": line})
    return found


def _write_report(report: dict[str, Any]) -> None:
    write(f"Python {report['python']['version']} ({report['python']['executable']}), {report['platform']}")
    write(f"Memory {report['memory_gib']} GiB, disk free here {report['disk_free_gib']} GiB\n")
    write(
        table([(name, found or "missing") for name, found in report["packages"].items()], head=("package", "version"))
    )
    write("\ndevices")
    for device in report["devices"]:
        write("  " + ", ".join(f"{key} {value}" if key != "name" else str(value) for key, value in device.items()))
    write("\ncheckpoints")
    for name, facts in report["checkpoints"].items():
        write(f"  {name}: {facts['path']}")
    if not report["missing"]:
        write("\nNothing is missing.")
    for item in report["missing"]:
        write(f"\n{'Missing' if item['needed'] else 'Optional'}: {item['what']}\n  {item['install']}")
