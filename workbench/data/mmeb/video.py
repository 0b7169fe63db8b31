"""The 18 video tasks: tables of `VLM2Vec/*`, frames of `TIGER-Lab/MMEB-V2/video-tasks/frames`.

Videos are read as frames; a raw video beside them is not decoded here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from workbench.data.mmeb.row import Frames, Parsed, Side, natural, one_right, text, texts
from workbench.errors import BadInput

_QUESTION = (
    "Given a video and a question, select the most accurate answer from the provided candidates. "
    "Return only the exact text of your chosen answer. Question: "
)
_VIDEO = "Understand the content of the provided video."
_CLIP = "Understand the content of the provided video clip."


def parse_class(values: Mapping[str, Any], root: Path, *, frames: int, prompt: str) -> Parsed:
    """Classification: `video_id`, `pos_text`, and `neg_text` where a row has candidates of its own."""
    label = text(values, "pos_text")
    names = texts(values, "neg_text") if values.get("neg_text") is not None else [label]
    candidates = tuple(Side(name=name, text=name) for name in names)
    query = Side(text=prompt, frames=Frames(folder=root / text(values, "video_id"), n=frames))
    return Parsed(query=query, candidates=candidates, right=one_right(candidates, label), answer=label)


def parse_retrieval(
    values: Mapping[str, Any], root: Path, *, frames: int, prompt: str, name: str, caption: str
) -> Parsed:
    """Text-to-video retrieval; `name` and `caption` are the fields that hold the video and its first description."""
    held = values.get(caption)
    asked = texts(values, caption)[0] if isinstance(held, list) else text(values, caption)
    video = text(values, name)
    if name == "video":
        video = PurePosixPath(video).stem
    target = Side(name=video, text=_VIDEO, frames=Frames(folder=root / video, n=frames))
    return Parsed(query=Side(text=f"{prompt} {asked}"), candidates=(target,), right={video: 1.0})


def parse_moment(values: Mapping[str, Any], root: Path, *, frames: int) -> Parsed:
    """Moment retrieval: the clips of a video lie in folders beside `query`; the right one begins with "positive"."""
    video = PurePosixPath(text(values, "video_path")).stem
    folder = root / video
    if not folder.is_dir():
        raise BadInput(f"There are no clips in '{folder}'; unpack video_mret.tar.gz of TIGER-Lab/MMEB-V2 there.")
    clips = sorted((path for path in folder.iterdir() if path.is_dir() and path.name != "query"), key=_by_name)
    candidates = tuple(
        Side(name=f"{video}/{clip.name}", text=_VIDEO, frames=Frames(folder=clip, n=frames)) for clip in clips
    )
    right = {f"{video}/{clip.name}": 1.0 for clip in clips if clip.name.startswith("positive")}
    if not right:
        raise BadInput(f"none of the {len(clips)} clips in '{folder}' is called positive.")
    query = Side(
        text=f"Find the clip that corresponds to the described scene in the given video: {text(values, 'query')}",
        frames=Frames(folder=folder / "query", n=frames),
    )
    return Parsed(query=query, candidates=candidates, right=right)


def parse_seeker(values: Mapping[str, Any], root: Path) -> Parsed:
    """MomentSeeker: the query is a text, with an image or a video beside it or alone."""
    given, asked = values.get("input_frames") or "", text(values, "query")
    if given.endswith(".mp4"):
        prompt = "Find the clip that corresponds to the given sentence and video segment:"
        query = Side(text=f"{prompt} {asked}", frames=_clip(root, given))
    elif given.endswith(".jpg"):
        prompt = "Select the video clip that aligns with the given text and image:"
        query = Side(text=f"{prompt} {asked}", images=(root / f"query_{given}",))
    else:
        query = Side(text=f"Find the clip that corresponds to the given text: {asked}")
    right, wrong = (_outputs(values, key) for key in ("positive_frames", "negative_frames"))
    candidates = tuple(Side(name=path, text=_CLIP, frames=_clip(root, path)) for path in (*right, *wrong))
    return Parsed(query=query, candidates=candidates, right=dict.fromkeys(right, 1.0))


def parse_next_qa(values: Mapping[str, Any], root: Path, *, frames: int) -> Parsed:
    """NExTQA: `a0` to `a4`, and the place of the right one."""
    options = [text(values, f"a{place}") for place in range(5)]
    asked = lettered(f"{_QUESTION} {text(values, 'question')}", options)
    label = _at(options, values.get("answer"))
    return _answers(asked, options, options, label, Frames(folder=root / text(values, "video"), n=frames))


def parse_video_mme(values: Mapping[str, Any], root: Path, *, frames: int) -> Parsed:
    """Video-MME: options "A. ..." on lines of their own, and the letter of the right one."""
    options, letter = texts(values, "options"), text(values, "answer")
    place = "ABCD".find(letter) if len(letter) == 1 else -1
    asked = "\n".join((f"{_QUESTION} {text(values, 'question')}", *options))
    video = Frames(folder=root / text(values, "videoID"), n=frames)
    return _answers(asked, options, _bare(options), _at(options, place), video)


def parse_ego_schema(values: Mapping[str, Any], root: Path, *, frames: int) -> Parsed:
    """EgoSchema: options "A. ..." after the question without a space, as published; the place of the right one as text."""
    options, place = texts(values, "option"), text(values, "answer")
    asked = f"{_QUESTION} {text(values, 'question')}{' '.join(options)}"
    label = _at(options, int(place) if place.isdecimal() else None)
    return _answers(asked, options, _bare(options), label, Frames(folder=root / text(values, "video_idx"), n=frames))


def parse_mv_bench(values: Mapping[str, Any], root: Path, *, frames: int, subset: str) -> Parsed:
    """MVBench: one of 20 subsets; a candidate is named "(A) ..."."""
    options = texts(values, "candidates")
    named = [f"({chr(ord('A') + place)}) {option}" for place, option in enumerate(options)]
    answer = text(values, "answer")
    label = named[options.index(answer)] if answer in options else answer
    asked = lettered(f"{_QUESTION} {text(values, 'question')}", options)
    return _answers(asked, named, named, label, Frames(folder=root / subset / text(values, "video"), n=frames))


def parse_activity_qa(values: Mapping[str, Any], root: Path, *, frames: int) -> Parsed:
    """ActivityNetQA: yes or no."""
    options = ["yes", "no"]
    asked = f"{_QUESTION} {text(values, 'question')}? (A) yes; (B) no."
    video = Frames(folder=root / f"v_{text(values, 'video_name')}", n=frames)
    return _answers(asked, options, options, text(values, "answer"), video)


def lettered(question: str, options: Sequence[str]) -> str:
    """The question with its options below it, each after a letter in brackets."""
    lines = [f"({chr(ord('A') + place)}) {option}" for place, option in enumerate(options)]
    return "\n".join((question, "Options:", *lines)).rstrip()


def _answers(asked: str, names: Sequence[str], written: Sequence[str], label: str, video: Frames) -> Parsed:
    candidates = tuple(Side(name=name, text=line) for name, line in zip(names, written, strict=True))
    return Parsed(
        query=Side(text=asked, frames=video), candidates=candidates, right=one_right(candidates, label), answer=label
    )


def _bare(options: Sequence[str]) -> list[str]:
    """Options without their letter."""
    return [option[option.find(". ") :].strip(". ") for option in options]


def _at(options: Sequence[str], place: Any) -> str:
    if not isinstance(place, int) or not 0 <= place < len(options):
        raise BadInput(f"its answer points at none of its {len(options)} options.")
    return options[place]


def _outputs(values: Mapping[str, Any], key: str) -> list[str]:
    held = values.get(key)
    if not isinstance(held, list) or not all(isinstance(one, Mapping) for one in held) or (not held and "pos" in key):
        raise BadInput(f"its '{key}' is not the published list of clips with 'output_path'.")
    return [text(one, "output_path") for one in held]


def _clip(root: Path, path: str) -> Frames:
    return Frames(folder=root / "video_frames" / path.replace("/", "_").split(".mp4")[0], n=None)


def _by_name(path: Path) -> list[tuple[bool, int, str]]:
    return natural(path.name)
