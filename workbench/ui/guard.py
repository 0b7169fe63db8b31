"""The one place where an error of the input becomes a message on the page; any other exception is a bug and is logged."""

import functools
import html
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from workbench.errors import WorkbenchError

P = ParamSpec("P")
R = TypeVar("R")


def told(handler: Callable[P, R]) -> Callable[P, R]:
    """Wrap an event handler: a `WorkbenchError` is shown as its sentence, without a traceback."""

    @functools.wraps(handler)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        except WorkbenchError as error:
            raise gr.Error(html.escape(str(error), quote=False), duration=20, print_exception=False) from error

    return wrapped


def answered(function: Callable[P, dict[str, Any]]) -> Callable[P, dict[str, Any]]:
    """Wrap a function that the page's script calls: a `WorkbenchError` comes back as `{"error": sentence}`."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        try:
            return function(*args, **kwargs)
        except WorkbenchError as error:
            return {"error": str(error)}

    return wrapped
