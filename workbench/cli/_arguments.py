"""Parsing of what stands on the command line, before anything heavy is known."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from workbench.errors import BadInput, UnknownName, WorkbenchError

_PROBE_FLAG = re.compile(r"--([A-Za-z][\w-]*)\.([A-Za-z][\w-]*)(?:=(.*))?", re.DOTALL)
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class UsageError(WorkbenchError):
    """The command line itself is wrong."""


class CommandParser(argparse.ArgumentParser):
    """Reports a wrong command line in one sentence, and keeps the line breaks of the examples."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        # An abbreviation that works today is ambiguous, and so broken, as soon as a flag is added.
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message.rstrip('.')}. See '{self.prog} --help'.")


def split_inputs(inputs: Sequence[str]) -> tuple[list[str], str]:
    """The images and the query, which is the last input. Raises UsageError when that is a file: the query was forgotten."""
    *images, query = inputs
    try:
        is_file = Path(query).is_file()
    except OSError:  # a query longer than any file name
        is_file = False
    if is_file:
        raise UsageError(f"The last input is the query, but '{query}' is a file; add the query, or '' to ask nothing.")
    return images, query


def split_probe_flags(argv: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Take flags of the form `--probe.field value` or `--probe.field=value` out of a command line.

    Which probes and fields there are is not known yet: finding them imports them.

    Returns:
        The other words in order, and the flags as ("probe.field", value).
    """
    words: list[str] = []
    flags: list[tuple[str, str]] = []
    remaining = list(argv)
    while remaining:
        word = remaining.pop(0)
        if word == "--":
            return [*words, word, *remaining], flags
        match = _PROBE_FLAG.fullmatch(word)
        if match is None:
            words.append(word)
            continue
        name = f"{match[1]}.{match[2]}".replace("-", "_")
        if match[3] is None and not remaining:
            raise UsageError(f"--{name} needs a value.")
        flags.append((name, match[3] if match[3] is not None else remaining.pop(0)))
    return words, flags


def build_probes(flags: Sequence[tuple[str, str]]) -> tuple[Any, ...]:
    """Every registered probe of traces, with the parameters that the flags set.

    Raises:
        UnknownName: for a probe or field that does not exist, with the nearest that does.
        BadInput: for a value of the wrong kind or out of range.
    """
    from workbench.probe import PROBES, build, traced_probes

    known = traced_probes()
    values: dict[str, dict[str, Any]] = {}
    for flag, text in flags:
        probe, field = flag.split(".")
        if PROBES.get(probe) not in known.values():
            raise UsageError(f"--{flag}: '{probe}' is run by 'thinkscope attribute --method {probe}', not by inspect.")
        values.setdefault(probe, {})[field] = _read_value(PROBES.get(probe), field, text, f"--{flag}")
    return tuple(build(probe, values.get(name, {})) for name, probe in known.items())


def build_method(name: str, settings: Sequence[str], level: str | None) -> Any:
    """The attribution method of this name, with `key=value` settings and a level.

    Raises:
        UnknownName: for a method or field that does not exist, with the nearest that does.
        BadInput: for a value of the wrong kind or out of range, or a level that the method does not have.
    """
    from workbench.attribution import methods
    from workbench.probe import build

    known = methods()
    if name not in known:
        raise UnknownName("attribution method", name, known)
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set takes KEY=VALUE, for example steps=64, but '{setting}' was given.")
        key = key.strip().replace("-", "_")
        values[key] = _read_value(known[name], key, text, f"--set {key}")
    if level is not None:
        values["level"] = level
    return build(known[name], values)


def build_checks(names: Sequence[str]) -> tuple[Any, ...]:
    """The tests of maps of these names, each once; `all` names every one. Raises UnknownName."""
    from workbench.explaining import map_checks

    known = map_checks()
    for name in names:
        if name != "all" and name not in known:
            raise UnknownName("test of maps", name, [*known, "all"])
    return tuple(check() for name, check in known.items() if name in names or "all" in names)


def _read_value(probe: Any, field: str, text: str, flag: str) -> Any:
    from workbench.probe import parameters

    kinds: Mapping[str, type] = {parameter.name: parameter.type for parameter in parameters(probe)}
    kind = kinds.get(field, str)
    if kind is bool:
        if text.lower() not in (*_YES, *_NO):
            raise BadInput(f"{flag} is '{text}', but must be true or false.")
        return text.lower() in _YES
    try:
        return kind(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number"
        raise BadInput(f"{flag} is '{text}', but must be {wanted}.") from error
