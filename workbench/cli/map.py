"""`thinkscope map`: latents of many samples as places on a page."""

import argparse
import time
from pathlib import Path
from typing import Any

from workbench.cli._arguments import UsageError
from workbench.cli._options import add_device, add_split, check_out, write_out, writing
from workbench.cli._screen import plain, show_progress, table, write, write_json

_SUFFIXES = (".html", ".parquet")
_EXAMPLES = """examples:
  thinkscope map shapes --n 500 --of thoughts --out map.html
  thinkscope map photos/ --checkpoint runs/mine/checkpoint --of embedding --out map.parquet
  thinkscope map shapes --n 500 --checkpoint tte-flash --checkpoint tte-flash-early --of pooled-thoughts --out two.html
  thinkscope map thoughts.jsonl --of embedding --out map.html     (an export that was made with embedding)
  thinkscope map map.parquet --out map.html                       (draw a map again)
"""


def register(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "map",
        help="lay the latents of a data set out on a map",
        description="Trace a data set and lay its latents out by UMAP, with figures that say what the map is worth.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "data",
        nargs="+",
        metavar="DATASET|TRACES",
        help="data set, export with arrays, folder of traces, or map.parquet",
    )
    parser.add_argument(
        "--checkpoint", action="append", metavar="C", help="bundled name or folder; twice for two on one map"
    )
    parser.add_argument("--of", default="thoughts", metavar="WHAT", help="embedding, thoughts or pooled-thoughts")
    parser.add_argument(
        "--layer", type=int, metavar="L", help="decoder layer from 0, -1 for the last (default: the last)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="map.html or map.parquet")
    add_split(parser)
    parser.add_argument("--n", type=int, metavar="N", help="samples to read (default: all)")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="points beyond which samples are drawn (default: 200,000)"
    )
    parser.add_argument("--projection", default="umap", metavar="NAME", help="umap or pca (default: umap)")
    parser.add_argument("--neighbours", type=int, default=15, metavar="K", help="neighbours of a point (default: 15)")
    parser.add_argument(
        "--min-dist", type=float, default=0.1, metavar="D", help="how close points may lie (default: 0.1)"
    )
    parser.add_argument("--metric", default="cosine", metavar="NAME", help="cosine or euclidean (default: cosine)")
    parser.add_argument("--seed", type=int, default=0, help="of sampling, UMAP and measures (default: 0)")
    parser.add_argument(
        "--no-repeat", action="store_true", help="leave out the second fit that tells how stable the map is"
    )
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the map, write it, and say what it is worth."""
    _check(args)
    begin = time.perf_counter()
    latent_map = _make(args)
    if args.out.suffix == ".parquet":
        from workbench.mapping.map_parquet import write_map

        with writing(args.out):
            write_map(latent_map, args.out)
    else:
        from workbench.render.map_html import map_html

        write_out(args.out, map_html(latent_map))
    show_progress(1.0, "done")
    from workbench.mapping.summary import summarise

    summary = summarise(latent_map) | {"out": str(args.out), "seconds_in_all": round(time.perf_counter() - begin, 3)}
    if args.json:
        write_json(summary)
        return 0
    _show(summary)
    return 0


def _check(args: argparse.Namespace) -> None:
    check_out(args.out, _SUFFIXES)
    if len(args.data) > 2 or len(args.checkpoint or ()) > 2:
        raise UsageError("A map shows two checkpoints at most.")
    if args.limit is not None and args.limit < 1:
        raise UsageError(f"--limit is {args.limit}, but must be 1 or more.")


def _make(args: argparse.Namespace) -> Any:
    if len(args.data) == 1 and Path(args.data[0]).suffix == ".parquet" and not args.checkpoint:
        from workbench.mapping.map_parquet import is_map, read_map

        if is_map(Path(args.data[0])):
            return read_map(Path(args.data[0]))
    from workbench.mapping.settings import MapSettings, check_metric, check_projection

    settings = MapSettings(
        projection=check_projection(args.projection),
        n_neighbours=args.neighbours,
        min_dist=args.min_dist,
        metric=check_metric(args.metric),
        seed=args.seed,
        repeat=not args.no_repeat,
    )
    from workbench.mapping.making import make_map

    parts = _parts(args)
    return make_map(parts, settings, tell=lambda done, message: show_progress(0.5 + done / 2, message))


def _parts(args: argparse.Namespace) -> list[Any]:
    from workbench.mapping.points import check_of
    from workbench.mapping.settings import MAX_POINTS
    from workbench.mapping.traces import is_traced, read_points

    of, limit = check_of(args.of), args.limit or MAX_POINTS
    traced = [is_traced(data) for data in args.data]
    if all(traced):
        if args.checkpoint:
            raise UsageError("Traces hold what their checkpoint made of the samples; leave --checkpoint out.")
        shared = {"of": of, "n": args.n, "layer": args.layer, "seed": args.seed, "limit": max(1, limit // len(traced))}
        return [read_points(Path(data), **shared) for data in args.data]
    if len(args.data) > 1:
        raise UsageError("Two checkpoints are compared on one data set, or by two exports of it.")
    return _collect(args, of, limit)


def _collect(args: argparse.Namespace, of: Any, limit: int) -> list[Any]:
    from workbench.assets import DEFAULT_CHECKPOINT, resolve_checkpoint
    from workbench.mapping.collecting import check_thoughts, collect_points
    from workbench.models.checkpoint import load_checkpoint

    paths = [resolve_checkpoint(name) for name in args.checkpoint or [DEFAULT_CHECKPOINT]]
    for path in paths:
        check_thoughts(path, of)
    parts = []
    for number, path in enumerate(paths):

        def tell(done: float, message: str, number: int = number) -> None:
            show_progress((number + done) / len(paths) / 2, message)

        tell(0.0, "Loading the checkpoint")
        model = load_checkpoint(path, device=args.device, dtype=args.dtype)
        parts.append(
            collect_points(
                model,
                args.data[0],
                of=of,
                split=args.split,
                n=args.n,
                layer=args.layer,
                limit=max(1, limit // len(paths)),
                seed=args.seed,
                tell=tell,
            )
        )
    return parts


def _show(summary: dict[str, Any]) -> None:
    write(
        f"{plain(summary['title'])}: {summary['points']:,} points of {summary['samples']:,} samples, {summary['shown']}"
    )
    if summary["figures"]:
        several = len(summary["checkpoints"]) > 1
        rows = [
            (
                one["name"],
                *([plain(summary["checkpoints"][one["checkpoint"]])] if several else []),
                one["projection"],
                f"{one['value']:.3f}",
                "" if one["chance"] is None else f"{one['chance']:.3f}",
                f"{one['n']:,}",
            )
            for one in summary["figures"]
        ]
        write(
            "\n"
            + table(rows, head=("figure", *(["checkpoint"] if several else []), "of", "value", "by chance", "points"))
        )
    if summary["clusters"]:
        rows = [(plain(one["label"]), f"{one['size']:,}") for one in summary["clusters"]]
        write("\n" + table(rows, head=("group", "points")))
    if summary["movers"]:
        rows = [(plain(one["sample"]), one["think_position"], f"{one['change']:.2f}") for one in summary["movers"][:10]]
        write("\n" + table(rows, head=("moved most", "think", "neighbours changed")))
    write("\n" + "\n".join(f"- {plain(note)}" for note in [*summary["notes"], summary["reading"]]))
    write(f"\n{summary['out']}")
