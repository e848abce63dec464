"""JSON from outside, checked: one parser for HTTP bodies and web-socket messages.

Half characters (lone surrogates, which JSON can write as \\ud800) are dropped here, so that no
later place meets text it cannot encode. A wrong field is one sentence that names it.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from ohlora.server.faults import BadField
from ohlora.text import josa

MAX_DEPTH = 32
_SURROGATES = re.compile("[\ud800-\udfff]")

Model = TypeVar("Model", bound=BaseModel)


class Body(BaseModel):
    """Base of our bodies: exact types (no "5" for 5); unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")


def read_json(raw: bytes | str) -> dict[str, Any]:
    """Return the object in `raw`. Raises BadField."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:  # ValueError: bad JSON, bad UTF-8, huge number
        what = getattr(error, "msg", "it is not UTF-8 text or nested too deep")
        at = at_ko = ""
        if isinstance(error, json.JSONDecodeError):
            at, at_ko = f" at character {error.pos}", f"({error.pos + 1}번째 글자)"
        raise BadField(
            None,
            f"The message is not valid JSON ({what}{at}): send one JSON object.",
            f"올바른 JSON이 아니에요{at_ko}. JSON 객체 하나를 보내 주세요.",
        ) from error
    if not isinstance(data, dict):
        en, ko = kind(data)
        raise BadField(
            None,
            f"The message must be a JSON object, but it is {en}: put it in braces.",
            f"JSON 객체여야 하는데 {josa(ko, '이에요/예요')}. 중괄호로 감싸 주세요.",
        )
    whole: dict[str, Any] = scrub(data, 0)
    return whole


def scrub(data: Any, depth: int) -> Any:
    """`data` without half characters. Raises BadField where it is nested deeper than MAX_DEPTH."""
    if depth > MAX_DEPTH:
        raise BadField(
            None,
            f"The JSON is nested deeper than {MAX_DEPTH} levels: send a flat object.",
            f"JSON이 {MAX_DEPTH}단계보다 깊어요. 더 단순한 객체를 보내 주세요.",
        )
    if isinstance(data, str):
        return _SURROGATES.sub("", data)
    if isinstance(data, list):
        return [scrub(item, depth + 1) for item in data]
    if isinstance(data, dict):
        return {_SURROGATES.sub("", name): scrub(item, depth + 1) for name, item in data.items()}
    return data


def check(model: type[Model], data: dict[str, Any]) -> Model:
    """`data` as `model`. Raises BadField for the first field that is wrong."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = field_of(first["loc"], data)
        if first["type"] == "missing":
            raise BadField(
                field,
                f"The field {field!r} is missing: add it.",
                f"{field!r} 항목이 빠져 있어요. 넣어 주세요.",
            ) from error
        en, ko = wanted(first["type"], first.get("ctx", {}))
        raise BadField(
            field,
            f"The field {field!r} is wrong: it should be {en}.",
            f"{field!r} 항목이 잘못됐어요. {ko} 넣어 주세요.",
        ) from error


def field_of(loc: tuple[int | str, ...], data: Any) -> str | None:
    """The path of a field as its sender would write it, "messages.0.content"."""
    path = []
    for part in loc:
        inside = isinstance(data, dict) if isinstance(part, str) else isinstance(data, list)
        if inside:  # what is not inside is pydantic's name for one of several allowed types
            path.append(str(part))
            data = data.get(part) if isinstance(data, dict) else data[part]
    return ".".join(path) or None


def wanted(error: str, ctx: dict[str, Any]) -> tuple[str, str]:
    """What a field should be, in both languages, by pydantic's name of the error."""
    kinds = {
        "string_type": ("a text", "글을"),
        "int_type": ("a whole number", "정수를"),
        "float_type": ("a number", "숫자를"),
        "bool_type": ("true or false", "true나 false를"),
        "list_type": ("a list", "목록을"),
        "dict_type": ("an object", "객체를"),
        "model_type": ("an object", "객체를"),
        "model_attributes_type": ("an object", "객체를"),
    }
    if error in kinds:
        return kinds[error]
    if error == "literal_error":
        return f"one of {ctx['expected']}", f"{ctx['expected'].replace(' or ', ', ')} 중 하나를"
    bounds = {
        "greater_than": ("gt", "above {}", "{}보다 큰 수를"),
        "greater_than_equal": ("ge", "{} or more", "{} 이상을"),
        "less_than": ("lt", "below {}", "{}보다 작은 수를"),
        "less_than_equal": ("le", "{} or less", "{} 이하를"),
        "too_short": ("min_length", "at least {} long", "{}개 이상을"),
        "too_long": ("max_length", "at most {} long", "{}개 이하를"),
    }
    if error in bounds:
        name, en, ko = bounds[error]
        bound = f"{ctx[name]:g}" if isinstance(ctx[name], float) else ctx[name]
        return en.format(bound), ko.format(bound)
    return f"of another kind ({error})", f"다른 값을({error})"


async def body(request: Request, model: type[Model]) -> Model:
    """The JSON body of a request as `model`; an empty body is an empty object."""
    raw = await request.body()
    return check(model, read_json(raw) if raw.strip() else {})


def kind(data: Any) -> tuple[str, str]:
    names = {
        list: ("an array", "배열"),
        str: ("a string", "문자열"),
        bool: ("a boolean", "참/거짓"),
        type(None): ("null", "null"),
    }
    return names.get(type(data), ("a number", "숫자"))
