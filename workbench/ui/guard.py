"""The one place where an error becomes a message on the page: its own sentence if the input is at fault, else that we are."""

import functools
import html
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from workbench.errors import WorkbenchError

P = ParamSpec("P")
R = TypeVar("R")
BUG = "Something went wrong inside Thinkscope, not in your input; the terminal that runs it shows the details."


def told(handler: Callable[P, R]) -> Callable[P, R]:
    """Wrap an event handler: a `WorkbenchError` is shown as its sentence; of a bug the page says only that it is one."""

    @functools.wraps(handler)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        except WorkbenchError as error:
            raise gr.Error(html.escape(str(error), quote=False), duration=20, print_exception=False) from error
        except Exception as error:
            # Gradio prints the cause with its traceback to the terminal; the browser gets none of it.
            raise gr.Error(BUG, duration=20, print_exception=True) from error

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
