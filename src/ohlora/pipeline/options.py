"""`stage.option=value`: other options than a preset's.

An option may lie deeper (cnn.gender.lr); the shallowest of its name is meant when the way there
is left out: base.steps is base.loop.steps.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Union, get_args, get_origin, get_type_hints

from ohlora.errors import BadInput


def changed(options: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """The options with `settings` applied in order. Raises BadInput."""
    result = dict(options)
    for setting in settings:
        where, found, text = setting.partition("=")
        stage, _, name = where.strip().partition(".")
        if not found or not name or stage not in result:
            raise BadInput(
                f"{setting!r} is no stage.option=value such as base.steps=2000; stages are "
                f"{', '.join(result)}.",
                f"{setting!r}은(는) base.steps=2000처럼 단계.옵션=값이어야 해요. 단계: "
                f"{', '.join(result)}.",
            )
        path = find(result[stage], stage, name)
        result[stage] = put(result[stage], path, text.strip(), setting)
    return result


def find(options: Any, stage: str, name: str) -> tuple[str, ...]:
    """The way to the option: fields from outside to inside. Raises BadInput."""
    wanted = tuple(name.split("."))
    paths = sorted(leaves(options), key=len)
    ends = [path for path in paths if path[-len(wanted) :] == wanted]
    nearest = [path for path in ends if len(path) == len(ends[0])]
    if len(nearest) == 1:
        return nearest[0]
    if nearest:
        listed = ", ".join(".".join((stage, *path)) for path in nearest)
        raise BadInput(
            f"{stage}.{name} may mean {listed}: write one of them.",
            f"{stage}.{name}은(는) {listed} 중 무엇인지 알 수 없어요. 하나를 적어 주세요.",
        )
    listed = ", ".join(".".join(path) for path in paths) or "none"
    raise BadInput(
        f"The stage {stage} has no option {name}: there are {listed}.",
        f"{stage} 단계에 {name} 옵션이 없어요. 있는 옵션: {listed}.",
    )


def leaves(options: Any) -> Iterator[tuple[str, ...]]:
    for one in fields(options):
        value = getattr(options, one.name)
        if is_dataclass(value):
            yield from ((one.name, *rest) for rest in leaves(value))
        else:
            yield (one.name,)


def put(options: Any, path: tuple[str, ...], text: str, setting: str) -> Any:
    name, *rest = path
    if rest:
        return replace(options, **{name: put(getattr(options, name), tuple(rest), text, setting)})
    hint = get_type_hints(type(options))[name]
    try:
        value = json.loads(text)
    except ValueError:
        value = text  # a bare word
    fitting = fitted(value, hint)
    if fitting is NotImplemented:
        kind = getattr(hint, "__name__", str(hint))
        raise BadInput(
            f"{setting!r}: {name} must be {kind}, not {text}.",
            f"{setting!r}: {name}은(는) {kind}이어야 하는데 {text}이에요.",
        )
    return replace(options, **{name: fitting})


def fitted(value: Any, hint: Any) -> Any:
    """JSON-like data as a value of this type; NotImplemented when it is none."""
    kind, parts = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        found = (fitted(value, part) for part in parts)
        return next((one for one in found if one is not NotImplemented), NotImplemented)
    if kind is tuple:
        if not isinstance(value, list):
            return NotImplemented
        hints = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
        if len(hints) != len(value):
            return NotImplemented
        items = tuple(fitted(one, part) for one, part in zip(value, hints, strict=True))
        return NotImplemented if NotImplemented in items else items
    if hint is float and type(value) is int:
        return float(value)
    return value if type(value) is hint else NotImplemented
