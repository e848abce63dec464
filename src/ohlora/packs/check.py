"""Every problem of a pack, each one sentence with its file and line.

Nothing is loaded to run: an adapter is compared with the base model by the shapes in its header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ohlora.checkpoints.tensors import open_tensors
from ohlora.dialogue.prompt import START_MARK, STOP_MARK
from ohlora.errors import BadInput, CheckpointError, OhloraError
from ohlora.intent import NONE, TOPICS, TURNS, WEIGHTS, read_topics, read_turns
from ohlora.llm.gguf_base import GemmaShape
from ohlora.packs.card import read_card
from ohlora.packs.pack import CARD, ID, numbered, read_toml
from ohlora.packs.written import check_pair

SLOTS = frozenset(["나이", "학년", "요일", "날짜", "계절"])
KINDS = (
    ("license", str, "a text", "글이"),
    ("born", date, "a date such as 2003-10-11", "2003-10-11 같은 날짜가"),
    ("first_year", int, "a year such as 2023", "2023 같은 해가"),
    ("own_words", list, "a list of words", "낱말의 목록이"),
)
MODELS = ("engine", "encoder", "face", "mode")
MOST_DEVIATION = 4.0  # standard deviations of an expression preset
BASE = GemmaShape()
_TENSOR = re.compile(
    r"base_model\.model\.model\.layers\.(\d+)\.(self_attn|mlp)\.(\w+)\.lora_([AB])"
    r"(?:\.default)?\.weight"
)
_SAMPLING: dict[str, Callable[[Any], bool]] = {
    "max_new_tokens": lambda v: isinstance(v, int) and 1 <= v <= 1_000,
    "temperature": lambda v: isinstance(v, int | float) and 0 <= v <= 5,
    "top_k": lambda v: isinstance(v, int) and 0 <= v <= 100_000,
    "top_p": lambda v: isinstance(v, int | float) and 0 < v <= 1,
    "repetition_penalty": lambda v: isinstance(v, int | float) and 0.1 <= v <= 10,
    "seed": lambda v: isinstance(v, int),
}


@dataclass(frozen=True)
class Problem:
    where: str  # file, or file:line, inside the pack
    en: str
    ko: str


def problems(folder: Path) -> list[Problem]:
    """All problems of the pack in `folder`, in the order of its files; [] for a sound one."""
    found: list[Problem] = []
    for check in (_settings, _lines, _rules, _intent, _adapter, _face, _card):
        found += check(folder)
    return found


def refuse_unsound(folder: Path, name: str = "") -> None:
    """Raise BadInput with the first problem of the pack, after `name`, and how many more."""
    found = problems(folder)
    if not found:
        return
    where, more = f"{name}{found[0].where}", len(found) - 1
    en = f"{where}: {found[0].en}" + (f" ({more} more problems)" if more else "")
    ko = f"{where}: {found[0].ko}" + (f" (문제가 {more}개 더 있어요)" if more else "")
    raise BadInput(en, ko)


def _settings(folder: Path) -> Iterator[Problem]:
    path = folder / "persona.toml"
    try:
        settings = read_toml(path)
    except OhloraError as error:
        yield _of(folder, path, error)
        return
    text = path.read_text("utf-8")

    def wrong(key: str, en: str, ko: str) -> Problem:
        return Problem(f"persona.toml:{_line_of(text, key)}", en, ko)

    name = settings.get("id")
    if not isinstance(name, str) or not ID.fullmatch(name):
        yield wrong(
            "id",
            f"id must be 1 to 40 of a-z, 0-9, - and _, found {name!r}.",
            f"id는 a-z, 0-9, -, _ 로 40자까지여야 하는데 {name!r}예요.",
        )
    elif folder.parent.name == "personas" and folder.name != name:
        yield wrong(
            "id",
            f"id is {name!r} but the folder is {folder.name!r}: give both the same name.",
            f"id는 {name!r}인데 폴더는 {folder.name!r}예요. 같은 이름으로 맞춰 주세요.",
        )
    for key in ("name", "greeting", "about"):
        value = settings.get(key, {} if key != "about" else {"ko": "-", "en": "-"})
        for language in ("ko", "en"):
            text_in = value.get(language) if isinstance(value, Mapping) else None
            if not isinstance(text_in, str) or not text_in.strip():
                yield wrong(
                    key,
                    f"{key}.{language} must be a text: add it.",
                    f"{key}.{language}에 글이 있어야 해요. 넣어 주세요.",
                )
    for key, kind, en, ko in KINDS:
        if key in settings and type(settings[key]) is not kind:
            yield wrong(
                key,
                f"{key} must be {en}, found {settings[key]!r}.",
                f"{key}에는 {ko} 있어야 하는데 {settings[key]!r}예요.",
            )
    fallback = settings.get("fallback", {})
    said = fallback.get("lines") if isinstance(fallback, Mapping) else None
    if not said or not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        yield wrong(
            "fallback",
            "fallback.lines must hold at least one sentence to say when there is no answer.",
            "fallback.lines에 답이 없을 때 할 말을 하나 이상 적어 주세요.",
        )
    sampling = settings.get("sampling", {})
    for key, value in sampling.items() if isinstance(sampling, Mapping) else [("sampling", 0)]:
        if key not in _SAMPLING or not _SAMPLING[key](value):
            yield wrong(
                key,
                f"sampling has no setting {key} = {value!r}: known are {', '.join(_SAMPLING)}.",
                f"sampling에 {key} = {value!r}는 쓸 수 없어요. {', '.join(_SAMPLING)}만 알아요.",
            )
    models = settings.get("models", {})
    for key, value in models.items() if isinstance(models, Mapping) else [("models", 0)]:
        if key not in MODELS or not isinstance(value, str):
            yield wrong(
                key,
                f"models has no setting {key} = {value!r}: known are {', '.join(MODELS)}, texts.",
                f"models에 {key} = {value!r}는 쓸 수 없어요. {', '.join(MODELS)}만 글로 적어요.",
            )
    presets = settings.get("expressions", {})
    for key, preset in presets.items() if isinstance(presets, Mapping) else [("expressions", 0)]:
        if not isinstance(preset, Mapping) or not all(
            isinstance(preset.get(axis), int | float) and abs(preset[axis]) <= MOST_DEVIATION
            for axis in ("eyes", "mouth", "pose")
        ):
            yield wrong(
                key,
                f"expressions.{key} wants eyes, mouth and pose between -4 and 4 standard "
                "deviations.",
                f"expressions.{key}에는 -4에서 4 사이의 eyes, mouth, pose가 있어야 해요.",
            )


def _lines(folder: Path) -> Iterator[Problem]:
    files = sorted((folder / "lines").glob("*.jsonl"))
    if not files and _models(folder).get("mode") != "v1":  # which uses none
        yield Problem(
            "lines",
            "the persona has no lines: add lines/own.jsonl.",
            "대사가 없어요. lines/own.jsonl을 넣어 주세요.",
        )
    first_seen: dict[tuple[str, str], str] = {}
    for path in files:
        try:
            rows = numbered(path)
        except OhloraError as error:
            yield _of(folder, path, error)
            continue
        for number, text in rows:
            where = f"lines/{path.name}:{number}"
            problem = _row_problem(where, text)
            if problem:
                yield problem
                continue
            row = json.loads(text)
            pair = row["q"], row["a"]
            if pair in first_seen:
                yield Problem(
                    where,
                    f"the same question and answer as {first_seen[pair]}: delete one.",
                    f"{first_seen[pair]}와 질문도 답도 같아요. 하나를 지워 주세요.",
                )
            first_seen.setdefault(pair, where)


def _row_problem(where: str, text: str) -> Problem | None:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict) or not all(
        isinstance(row.get(key), str) for key in ("q", "a", "topic")
    ):
        return Problem(
            where,
            'want one JSON object {"q": ..., "a": ..., "topic": ...} with texts in it.',
            '{"q": ..., "a": ..., "topic": ...} 꼴의 JSON 한 줄이어야 해요.',
        )
    try:
        check_pair(where, row["q"], row["a"])
    except OhloraError as error:
        return Problem(where, *(one.removeprefix(f"{where}: ") for one in (error.en, error.ko)))
    if not row["topic"].strip():
        return Problem(where, "the topic is empty.", "topic이 비어 있어요.")
    for mark in (START_MARK, STOP_MARK):
        if mark in row["a"] or mark in row["q"]:
            return Problem(
                where,
                f"{mark} is the model's own mark: take it out.",
                f"{mark}는 모델이 쓰는 표시예요. 빼 주세요.",
            )
    for slot in re.findall(r"\{(\w+)\}", row["a"]):
        if slot not in SLOTS:
            return Problem(
                where,
                f"{{{slot}}} is no slot: known are {', '.join(sorted(SLOTS))}.",
                f"{{{slot}}}는 채울 수 없어요. {', '.join(sorted(SLOTS))}만 쓸 수 있어요.",
            )
    return None


def _rules(folder: Path) -> Iterator[Problem]:
    path = folder / "lines" / "answers.toml"
    if not path.exists():
        return
    try:
        rules = read_toml(path)
    except OhloraError as error:
        yield _of(folder, path, error)
        return
    text, topics = path.read_text("utf-8"), _topics(folder)

    def wrong(key: str, en: str, ko: str) -> Problem:
        return Problem(f"lines/answers.toml:{_line_of(text, key)}", en, ko)

    always, near = rules.pop("always", {}), rules.pop("near", 1.0)
    if not isinstance(near, int | float) or not 0 <= near <= 1:
        yield wrong(
            "near",
            f"near must be a cosine between 0 and 1, not {near!r}.",
            f"near는 0과 1 사이의 코사인이어야 해요: {near!r}",
        )
    for stem, names in rules.items():
        if stem not in topics or not isinstance(names, list):
            yield wrong(
                stem,
                f"{stem} names no file: lines/{stem}.jsonl is not there.",
                f"{stem}라는 파일이 없어요(lines/{stem}.jsonl).",
            )
            continue
        for name in names:
            if name not in topics[stem]:
                yield wrong(
                    str(name),
                    f"no line of lines/{stem}.jsonl has the topic {name!r}.",
                    f"lines/{stem}.jsonl에 topic이 {name!r}인 줄이 없어요.",
                )
    for name, pattern in always.items() if isinstance(always, Mapping) else [("always", "(")]:
        try:
            re.compile(str(pattern))
            known = any(name in one for one in topics.values())
        except (re.error, TypeError):
            known = False
        if not known:
            yield wrong(
                name,
                f"always.{name} wants a topic that some line has, and a regular expression.",
                f"always.{name}에는 대사에 있는 topic과 정규 표현식이 있어야 해요.",
            )


def _intent(folder: Path) -> Iterator[Problem]:
    """topics.toml and turns.tsv, and that weights were fitted to them."""
    lines = folder / "lines"
    try:
        topics = read_topics(lines / TOPICS)
        turns = read_turns(lines / TURNS) if (lines / TURNS).exists() else []
    except CheckpointError as error:
        yield _of(folder, error.path, error)
        return
    for topic in topics.values():
        for slot in sorted(set(re.findall(r"\{(\w+)\}", " ".join(topic.say))) - set(SLOTS)):
            yield Problem(
                f"lines/{TOPICS}:{_line_of((lines / TOPICS).read_text('utf-8'), topic.name)}",
                f"{{{slot}}} is no slot: known are {', '.join(sorted(SLOTS))}.",
                f"{{{slot}}}는 채울 수 없어요. {', '.join(sorted(SLOTS))}만 쓸 수 있어요.",
            )
    for number, (name, _) in enumerate(turns, start=1):
        if name != NONE and name not in topics:
            yield Problem(
                f"lines/{TURNS}:{number}",
                f"{name!r} is no topic of {TOPICS}.",
                f"{TOPICS}에 {name!r} 주제가 없어요.",
            )
    if topics and not (lines / WEIGHTS).exists():
        yield Problem(
            f"lines/{TOPICS}",
            f"no turn reaches its topics: write {TURNS}, then run ohlora train intent.",
            f"주제로 이어지는 말이 없어요. {TURNS}를 쓰고 ohlora train intent를 돌려 주세요.",
        )


def _topics(folder: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in (folder / "lines").glob("*.jsonl"):
        rows = path.read_text("utf-8", "replace").splitlines()
        found[path.stem] = set()
        for row in rows:
            try:
                found[path.stem].add(json.loads(row)["topic"])
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # named by _lines
    return found


def _models(folder: Path) -> Mapping[str, Any]:
    """The table [models]; {} for none, or one that _settings names."""
    try:
        table = read_toml(folder / "persona.toml").get("models", {})
    except OhloraError:
        return {}
    return table if isinstance(table, Mapping) else {}


def _adapter(folder: Path) -> Iterator[Problem]:
    """Shapes against the embedded base; another base (persona.toml, [models]) is not judged."""
    place = folder / "adapter"
    if not place.exists():
        return
    engine = _models(folder).get("engine", "embedded")
    try:
        config = json.loads((place / "adapter_config.json").read_text("utf-8"))
        rank, alpha = config["r"], config["lora_alpha"]
        if not (isinstance(rank, int) and 1 <= rank <= 4096 and float(alpha) > 0):
            raise ValueError(f"rank {rank}, alpha {alpha}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        yield Problem(
            "adapter/adapter_config.json",
            f"is no settings file of a LoRA adapter ({error}): export the adapter again.",
            f"LoRA 어댑터의 설정 파일이 아니에요({error}). 어댑터를 다시 내보내 주세요.",
        )
        return
    weights = "adapter/adapter_model.safetensors"
    try:
        tensors = open_tensors(folder / weights)
        not_finite = next(tensors.not_finite(), None)
    except OSError:
        yield Problem(weights, "is missing.", "파일이 없어요.")
        return
    except OhloraError as error:
        yield _of(folder, folder / weights, error)
        return
    if not_finite:
        yield Problem(
            weights,
            f"{not_finite} holds numbers that are not finite: train again from an earlier "
            "checkpoint.",
            f"{not_finite}에 유한하지 않은 수가 있어요. 앞선 체크포인트부터 다시 학습해 주세요.",
        )
    if not str(engine).startswith("embedded"):
        return
    for name, shape in tensors.shapes.items():
        want = _wanted(name, rank)
        if shape != want:
            en = "no such matrix" if want is None else f"one of {list(want)}"
            ko = "그런 행렬이 없어요" if want is None else f"{list(want)}이어야 해요"
            yield Problem(
                weights,
                f"{name} of shape {list(shape)} does not fit the base Gemma 3 270M, which has "
                f"{en}: take the adapter trained on it.",
                f"{list(shape)} 꼴의 {name}이 바탕 모델 Gemma 3 270M에 맞지 않아요({ko}). "
                "이 모델로 학습한 어댑터를 써 주세요.",
            )
            return


def _wanted(name: str, rank: int) -> tuple[int, ...] | None:
    """The shape of a LoRA matrix on the embedded base, or None when it has no such weight."""
    match = _TENSOR.fullmatch(name)
    if match is None or int(match[1]) >= BASE.layers:
        return None
    queries, keys = BASE.heads * BASE.head_size, BASE.kv_heads * BASE.head_size
    out_in = {
        ("self_attn", "q_proj"): (queries, BASE.width),
        ("self_attn", "k_proj"): (keys, BASE.width),
        ("self_attn", "v_proj"): (keys, BASE.width),
        ("self_attn", "o_proj"): (BASE.width, queries),
        ("mlp", "gate_proj"): (BASE.hidden, BASE.width),
        ("mlp", "up_proj"): (BASE.hidden, BASE.width),
        ("mlp", "down_proj"): (BASE.width, BASE.hidden),
    }.get((match[2], match[3]))
    if out_in is None:
        return None
    return (rank, out_in[1]) if match[4] == "A" else (out_in[0], rank)


def _face(folder: Path) -> Iterator[Problem]:
    from ohlora.face.pack import FramePack

    place = folder / "face"
    if (place / "index.json").exists():
        try:
            FramePack(place)
        except OhloraError as error:
            yield _of(folder, place, error)
    if (place / "z.csv").exists():
        try:
            row = (place / "z.csv").read_text("utf-8-sig").split("\n")[1].split(",")
            if not all(abs(float(value)) < 1e6 for value in row):
                raise ValueError("not finite")
        except (OSError, ValueError, IndexError) as error:
            yield Problem(
                "face/z.csv",
                f"wants a header and one row of numbers ({error}).",
                f"머리줄과 숫자 한 줄이 있어야 해요({error}).",
            )


def _card(folder: Path) -> Iterator[Problem]:
    if (folder / CARD).exists():
        try:
            read_card(folder / CARD)
        except OhloraError as error:
            yield _of(folder, folder / CARD, error)


def _of(folder: Path, path: Path, error: OhloraError) -> Problem:
    """An error about a file as a problem: its path relative to the pack, with the line if told."""
    path = getattr(error, "path", path)
    line = re.search(r"\(at line (\d+)", error.en)
    where = path.relative_to(folder).as_posix() + (f":{line[1]}" if line else "")
    strip = re.compile(rf"^{re.escape(str(folder))}[^:]*: ")
    return Problem(where, strip.sub("", error.en), strip.sub("", error.ko))


def _line_of(text: str, key: str) -> int:
    """The line of a TOML text that sets `key` or opens its table; 1 when there is none."""
    found = re.search(rf'^\s*\[?"?[\w.-]*{re.escape(key)}"?\b|"{re.escape(key)}"', text, re.M)
    return text.count("\n", 0, found.start()) + 1 if found else 1
