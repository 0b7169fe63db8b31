"""`thinkscope list`: the names of everything that is registered or bundled."""

import argparse
import inspect
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from workbench.cli._screen import paint, plain, table, write, write_json


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "list",
        help="checkpoints, probes, families, formats, recipes, readers or engines",
        description="List what is bundled or registered, built-in and from installed packages alike.",
        epilog="examples:\n  thinkscope list checkpoints\n  thinkscope list probes --json",
    )
    parser.add_argument("kind", choices=tuple(_KINDS), help="what to list")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    collect, show = _KINDS[args.kind]
    rows = collect()
    if args.json:
        write_json(rows)
    elif not rows:
        write(f"There are no {args.kind}.")
    else:
        show(rows)
    return 0


def _checkpoints() -> list[dict[str, Any]]:
    from workbench.assets import bundled_checkpoints, read_card

    rows = []
    for name, path in bundled_checkpoints().items():
        card = read_card(path)
        rows.append(
            {
                "name": name,
                "path": str(path),
                "title": card.title,
                "description": card.description,
                "knows": card.knows,
                "metrics": {metric: asdict(value) for metric, value in card.metrics.items()},
            }
        )
    return rows


def _probes() -> list[dict[str, Any]]:
    from workbench.probe import PROBES, parameters

    return [
        {
            "name": name,
            "title": probe.title,
            "version": probe.version,
            "reference": probe.reference,
            "about": _first_sentence(probe),
            "needs": [need.__name__ for need in getattr(probe, "needs", ())],
            "fields": [
                {
                    "flag": f"--{name}.{field.name}",
                    "type": field.type.__name__,
                    "default": field.default,
                    "choices": list(field.choices),
                    "low": field.control.low,
                    "high": field.control.high,
                    "help": field.control.help,
                }
                for field in parameters(probe)
            ],
        }
        for name, probe in PROBES.items()
    ]


def _families() -> list[dict[str, Any]]:
    from workbench.models.registries import FAMILIES

    return _named(FAMILIES)


def _formats() -> list[dict[str, Any]]:
    from workbench.models.registries import FORMATS

    return _named(FORMATS)


def _recipes() -> list[dict[str, Any]]:
    from workbench.recipes.recipe import RECIPES

    return _named(RECIPES)


def _readers() -> list[dict[str, Any]]:
    from workbench.data.reader import READERS

    return _named(READERS)


def _engines() -> list[dict[str, Any]]:
    from workbench.export.engine import ENGINES

    return _named(ENGINES)


def _named(registry: Any) -> list[dict[str, Any]]:
    return [
        {"name": name, "about": getattr(entry, "about", "") or _first_sentence(entry)}
        for name, entry in registry.items()
    ]


def _first_sentence(entry: Any) -> str:
    text = inspect.getdoc(entry if isinstance(entry, type) or callable(entry) else type(entry)) or ""
    return text.split("\n\n")[0].replace("\n", " ")


def _show_named(rows: list[dict[str, Any]]) -> None:
    write(table([(row["name"], plain(row["about"])) for row in rows], head=("name", "what it is")))


def _show_checkpoints(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        write(f"{paint(row['name'], '1')}  {plain(row['title'])}\n  {row['path']}")
        for text in (row["description"], row["knows"] and f"Knows: {row['knows']}"):
            if text:
                write(f"  {plain(text)}")
        for name, metric in row["metrics"].items():
            write(
                f"  {name} {metric['value']:.1%} (95% interval {metric['low']:.1%} to {metric['high']:.1%}, n {metric['n']})"
            )


def _show_probes(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        needs = f", needs {' and '.join(row['needs'])}" if row["needs"] else ""
        write(f"{paint(row['name'], '1')}  {row['title']}, version {row['version']}{needs}\n  {plain(row['about'])}")
        for field in row["fields"]:
            write(f"  {field['flag']} {_domain(field)} (default {field['default']}): {field['help']}")


def _domain(field: dict[str, Any]) -> str:
    if field["choices"]:
        return "|".join(map(str, field["choices"]))
    if field["type"] == "bool":
        return "true|false"
    low, high = ("" if bound is None else f"{bound:g}" for bound in (field["low"], field["high"]))
    return f"{field['type']} {low}...{high}" if low or high else field["type"]


_Rows = list[dict[str, Any]]
_KINDS: dict[str, tuple[Callable[[], _Rows], Callable[[_Rows], None]]] = {
    "checkpoints": (_checkpoints, _show_checkpoints),
    "probes": (_probes, _show_probes),
    "families": (_families, _show_named),
    "formats": (_formats, _show_named),
    "recipes": (_recipes, _show_named),
    "readers": (_readers, _show_named),
    "engines": (_engines, _show_named),
}
