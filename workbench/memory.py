"""Memory that ran out, told as such: Python, the system and the allocators of CPU and GPU each say it in their own way."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from workbench.errors import OutOfMemory
from workbench.types import Trace

_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc")


def is_memory(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, says that memory ran out: Python's, the system's, an allocator's of CPU or GPU."""
    while error is not None:
        text = str(error).lower()
        if (
            isinstance(error, MemoryError)
            or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
            or (isinstance(error, RuntimeError) and any(sign in text for sign in _SIGNS))
        ):
            return True
        error = error.__cause__
    return False


@contextmanager
def memory_told(sentence: str) -> Iterator[None]:
    """Around what may not fit. Raises OutOfMemory with the sentence when it does not; any other error passes."""
    try:
        yield
    except Exception as error:
        if not is_memory(error):
            raise
        raise OutOfMemory(sentence) from error


def weigh_trace(trace: Trace) -> int:
    """Bytes that a trace holds."""
    # The continuation is opaque; keys and values of every layer weigh at most about this.
    arrays = (trace.latents, trace.attention, trace.embedding, trace.stepwise, trace.knockout)
    cache_bytes = (
        0 if trace.continuation is None else trace.latents.shape[0] * len(trace.tokens.ids) * trace.latents.shape[2] * 4
    )
    return sum(array.nbytes for array in arrays) + cache_bytes
