"""Every error raised on purpose.

OhloraError             str(error) is one sentence fit to show a user (English);
                        error.ko is the same sentence in Korean
  BadInput              also a ValueError: a person typed or sent something we cannot use
    EmptyText           nothing left after cleaning
    TextTooLong         longer than the limit
  ShapeError            also a ValueError: a tensor of the wrong shape
  CheckpointError       a model file: missing, damaged, wrong digest, wrong variant
  StoreError            the data folder: full disk, no rights, locked by another server
    Unwritable          also an OSError: a file that the disk does not take
    StoreTooNew         the database was written by a newer version
  UnknownSession        no such conversation
  UnknownMemory         no such memory
  UnknownPersona        no such persona
  EngineError           the language model could not answer
  Busy                  every place is taken; try again shortly
"""

from __future__ import annotations

from pathlib import Path


class OhloraError(Exception):
    """Base of all errors raised on purpose.

    `en` and `ko` say what was wanted, what came and what to do, in one sentence each.
    `code` is a stable kebab-case name for programs; `status` the HTTP status that fits.
    """

    code = "error"
    status = 500

    def __init__(self, en: str, ko: str | None = None) -> None:
        self.en, self.ko = en, ko or en
        super().__init__(en)


class BadInput(OhloraError, ValueError):
    code, status = "bad-input", 400


class EmptyText(BadInput):
    code = "empty-text"

    def __init__(self) -> None:
        super().__init__(
            "The message is empty: type at least one visible character.",
            "빈 메시지예요. 보이는 글자를 하나 이상 입력해 주세요.",
        )


class TextTooLong(BadInput):
    code = "text-too-long"

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(
            f"The message has {length:,} characters and the limit is {limit:,}: send it in parts.",
            f"메시지가 {length:,}자예요. {limit:,}자까지 보낼 수 있으니 나눠서 보내 주세요.",
        )


class ShapeError(OhloraError, ValueError):
    code, status = "shape", 400


class CheckpointError(OhloraError):
    """A model file cannot be used. `path` is the file, `reason` what was expected and found."""

    code = "checkpoint"

    def __init__(self, path: Path | str, reason: str, ko: str | None = None) -> None:
        self.path, self.reason = Path(path), reason
        super().__init__(f"{path}: {reason}", f"{path}: {ko or reason}")


class StoreError(OhloraError):
    code, status = "store", 503


class Unwritable(StoreError, OSError):
    """A file could not be written; `path` is the file. An OSError too, so that whoever knows more
    about the file may say it in other words."""

    code = "unwritable"

    def __init__(self, path: Path, error: OSError) -> None:
        reason = error.strerror or str(error)
        super().__init__(
            f"{path} cannot be written ({reason}): make room or choose another place.",
            f"{path}에 쓸 수 없어요({reason}). 공간을 비우거나 다른 곳을 골라 주세요.",
        )
        self.path, self.errno, self.strerror = path, error.errno, reason

    def __str__(self) -> str:
        return self.en

    def __reduce__(self) -> tuple[type[Unwritable], tuple[Path, OSError]]:
        return Unwritable, (self.path, OSError(self.errno, self.strerror))


class StoreTooNew(StoreError):
    code = "store-too-new"


class UnknownSession(OhloraError):
    code, status = "unknown-session", 404

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"There is no conversation {session_id!r}: pick one from the list or start a new one.",
            f"{session_id!r} 대화를 찾을 수 없어요. 목록에서 고르거나 새 대화를 시작해 주세요.",
        )


class UnknownMemory(OhloraError):
    code, status = "unknown-memory", 404

    def __init__(self, memory_id: object) -> None:
        super().__init__(
            f"There is no memory {memory_id!r}: `ohlora memory list` shows the ids.",
            f"{memory_id!r} 기억을 찾을 수 없어요. `ohlora memory list`로 번호를 확인해 주세요.",
        )


class UnknownPersona(OhloraError):
    code, status = "unknown-persona", 404

    def __init__(self, name: str, known: tuple[str, ...] = ()) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(
            f"There is no persona {name!r}: known personas are {listed}.",
            f"{name!r} 페르소나가 없어요. 쓸 수 있는 페르소나: {listed}.",
        )


class EngineError(OhloraError):
    code, status = "engine", 503


class Busy(OhloraError):
    code, status = "busy", 429

    def __init__(self) -> None:
        super().__init__(
            "She is answering as many people as this machine can serve: try again in a moment.",
            "지금은 대화가 가득 찼어요. 잠시 뒤에 다시 시도해 주세요.",
        )
