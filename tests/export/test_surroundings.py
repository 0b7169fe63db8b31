"""What a process is told about memory: one place for all threads."""

import platform
import subprocess
import sys

import pytest

CODE = """
import ctypes, sys, threading
from workbench.export.surroundings import share_memory
if sys.argv[1] == "shared":
    share_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
barrier = threading.Barrier(5)
def work():
    libc.malloc(ctypes.c_size_t(1000))
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
barrier.wait()
for thread in threads: thread.join()
libc.fdopen.restype = ctypes.c_void_p
out = libc.fdopen(1, b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fflush(ctypes.c_void_p(out))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only this C library gives threads memory of their own")
def test_threads_share_their_memory_once_they_are_told_to() -> None:
    def places(word: str) -> int:
        done = subprocess.run([sys.executable, "-c", CODE, word], capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr=")

    assert places("shared") == 1
    assert places("apart") > 1
