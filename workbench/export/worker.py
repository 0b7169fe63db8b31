"""One worker process of the engine `local`: reads part numbers, makes the parts, writes outcomes.

Run as `python -m workbench.export.worker` by `workbench/export/engines/local.py`. Line one of its input is the job, every
further line a part; each part is answered by one line of JSON. Nothing is pickled, and the process is born with the
environment that holds when its maker loads torch. A worker that loses its parent ends: input that closes ends the process
at once, in the middle of a part too, since a part is written whole or not at all.
"""

import json
import os
import queue
import sys
import threading
import traceback
from typing import TextIO

from workbench.export.attempt import Attempt


def main() -> None:
    """Work until the input closes. A bug of ours ends the process, after its last words were written."""
    answers = _take_output()
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    try:
        job = json.loads(lines.get())
        attempt = Attempt(job["maker"], job["plan"])
        while True:
            _say(answers, outcome=attempt(int(lines.get())))
    except BaseException as error:
        _say(answers, raised=f"{type(error).__name__}: {error}")
        traceback.print_exc()
        # An ordinary end would wait for the thread that reads.
        os._exit(1)


def _listen(lines: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def _take_output() -> TextIO:
    """Keep standard output for answers, and let what libraries print go where errors go."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _say(answers: TextIO, **answer: object) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
