"""How fluid map.html is: frame times while a browser pans and zooms, at 200,000 points by default.

Frames are counted where the map paints them. By default the browser is told that there is no graphics card, so its WebGL is
software (SwiftShader): `map` is what people then get, painted by the processor, and `map_by_webgl` the same browser made to
paint by WebGL all the same. In `map_composited` SwiftShader also puts the whole page together, the slowest way there is.
With --gpu the browser takes whatever the machine has. CPU time is the whole browser's, and says more than frames do on a
machine that has other work.
"""

import os
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from _measure import emit, parser

from workbench.latent_map import NO_STEP, Column, LatentMap, MapSample
from workbench.render.map_html import map_html
from workbench.types import Provenance

BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
SOFTWARE = ("--disable-gpu", "--enable-unsafe-swiftshader")
COMPOSITED = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
SECONDS = 4.0
# Moves the view a little in every frame, and notes when each was painted. The mouse is held down already.
WATCH = """
async ([kind, seconds]) => {
  const view = document.querySelector("[data-testid=map-stage]").map;
  const times = [];
  const moved = view.moved;
  view.moved = function () { times.push(performance.now()); return moved.call(this); };
  const begun = performance.now();
  const box = view.canvas.getBoundingClientRect();
  const [cx, cy] = [box.left + box.width / 2, box.top + box.height / 2];
  let step = 0;
  await new Promise((resolve) => {
    const go = () => {
      if (performance.now() - begun > seconds * 1000) return resolve();
      step += 1;
      const at = { bubbles: true, cancelable: true, buttons: 1, pointerId: 1, clientX: cx + 90 * Math.sin(step / 9), clientY: cy + 60 * Math.cos(step / 9) };
      if (kind === "pan") for (const event of [new PointerEvent("pointermove", at), new MouseEvent("mousemove", at)]) view.canvas.dispatchEvent(event);
      else view.canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: step % 40 < 20 ? -24 : 24, clientX: cx, clientY: cy, bubbles: true, cancelable: true }));
      return requestAnimationFrame(go);
    };
    go();
  });
  view.moved = moved;
  return times;
}
"""


def main() -> int:
    """Measure and print; 2 with a sentence when there is no browser."""
    options = parser(__doc__ or "")
    options.add_argument("--points", type=int, default=200_000, help="points of the map (default: 200,000)")
    options.add_argument("--gpu", action="store_true", help="let the browser use this machine's GPU")

    options.set_defaults(rounds=1)
    args = options.parse_args()
    found = next((path for path in BROWSERS if Path(path).exists()), None)
    if found is None or find_spec("playwright") is None:
        sys.stderr.write("Chromium or playwright is missing: apt-get install -y chromium; pip install playwright\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.html"
        begun = time.perf_counter()
        path.write_text(map_html(random_map(args.points)), encoding="utf-8")
        result: dict[str, Any] = {
            "points": args.points,
            "webgl_by": "the machine" if args.gpu else "SwiftShader, software",
            "write_seconds": round(time.perf_counter() - begun, 2),
            "file_mib": round(path.stat().st_size / 2**20, 1),
            "map": watch(path, found, () if args.gpu else SOFTWARE, args.rounds),
        }
        if not args.gpu:
            result["map_by_webgl"] = watch(path, found, SOFTWARE, args.rounds, query="?painter=webgl")
            result["map_composited"] = watch(path, found, COMPOSITED, args.rounds)
    emit(result, args.json)
    return 0


def watch(path: Path, browser_path: str, flags: tuple[str, ...], rounds: int, query: str = "") -> dict[str, Any]:
    """Open the file, pan, zoom, and search; times in milliseconds unless they say seconds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", *flags])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(120_000)
        begun = time.perf_counter()
        page.goto(f"{path.as_uri()}{query}")
        page.locator(".mp-root[data-ready]").wait_for()
        stage = page.get_by_test_id("map-stage")
        found: dict[str, Any] = {
            "painted_by": stage.get_attribute("data-painter"),
            "open_seconds": round(time.perf_counter() - begun, 2),
        }
        box = stage.bounding_box() or {"x": 0, "y": 0, "width": 0, "height": 0}
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        pans, zooms, spent = [], [], {"pan": 0.0, "zoom": 0.0}

        def move(kind: str) -> list[float]:
            before = browser_seconds()
            times = page.evaluate(WATCH, [kind, SECONDS])
            spent[kind] += browser_seconds() - before
            return times

        for _ in range(rounds):
            page.mouse.down()
            pans.append(move("pan"))
            page.mouse.up()
            page.get_by_test_id("map-home").click()
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            zooms.append(move("zoom"))
        found |= {"pan": frames(pans, spent["pan"]), "zoom": frames(zooms, spent["zoom"])}
        begun = time.perf_counter()
        page.get_by_test_id("map-search").fill("sample-00001")
        page.get_by_test_id("map-search").press("Enter")
        page.get_by_test_id("selection-says").get_by_text("found for").wait_for(timeout=60_000)
        found["search_seconds"] = round(time.perf_counter() - begun, 2)
        browser.close()
    return found


def browser_seconds() -> float:
    """CPU time, user and system, that the browsers started from here have taken so far; 0 where there is no /proc."""
    told: dict[int, tuple[int, float, bytes]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            told[int(folder.name)] = int(fields[1]), seconds, (folder / "cmdline").read_bytes()

    def is_ours(process: int) -> bool:
        while process in told and process != os.getpid():
            process = told[process][0]
        return process == os.getpid()

    return sum(seconds for process, (_, seconds, line) in told.items() if b"--no-sandbox" in line and is_ours(process))


def frames(movements: list[list[float]], spent: float) -> dict[str, float]:
    """Frame times of some movements of one kind, milliseconds, the frames a second that their median makes, and CPU time."""
    gaps = sorted(gap for times in movements for gap in np.diff(times).tolist())
    if len(gaps) < 3:
        return {"frames": len(gaps)}
    middle = statistics.median(gaps)
    return {
        "frames": len(gaps),
        "median_ms": round(middle, 1),
        "p95_ms": round(gaps[int(0.95 * (len(gaps) - 1))], 1),
        "worst_ms": round(gaps[-1], 1),
        "frames_per_second": round(1000 / middle, 1),
        "cpu_ms_per_frame": round(1000 * spent / len(gaps), 1),
    }


def random_map(n: int) -> LatentMap:
    """`n` points in fifty groups, one sample each."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 50, n).astype(np.int32)
    places = (rng.uniform(-10, 10, (50, 2))[group] + rng.normal(0, 0.6, (n, 2))).astype(np.float32)
    provenance = Provenance(
        checkpoint="random", weights_sha256="0" * 64, family="none", format="none", dtype="float32", device="cpu"
    )
    near = (np.arange(n)[:, None] + np.arange(1, 6)) % n
    return LatentMap(
        title=f"{n:,} random points",
        of="embedding",
        layer=None,
        checkpoints=(provenance,),
        source={},
        samples=tuple(
            MapSample(id=f"sample-{i:06d}", text=f"query {i}", thoughts=(f"thought of group {group[i]}",))
            for i in range(n)
        ),
        sample=np.arange(n, dtype=np.int32),
        k=np.full(n, NO_STEP, dtype=np.int32),
        checkpoint=np.zeros(n, dtype=np.int32),
        projections={"pca": places},
        shown="pca",
        columns=(
            Column(name="label", kind="categorical", values=group, categories=tuple(f"group {i}" for i in range(50))),
            Column(name="confidence", kind="number", values=rng.uniform(0, 1, n).astype(np.float32)),
        ),
        neighbours=near.astype(np.int32),
        distances=np.ones((n, 5), dtype=np.float32),
        kept=np.full(n, np.nan, dtype=np.float32),
        figures=(),
    )


if __name__ == "__main__":
    raise SystemExit(main())
