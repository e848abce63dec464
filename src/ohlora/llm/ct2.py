"""CTranslate2 int8 on the CPU, one token at a time, no torch: her embedded model, and v1's.

A worker thread inside CTranslate2 decodes and calls back after each token; the callback answers
whether to go on. `generate` turns these calls into an iterator of text.
"""

from __future__ import annotations

import atexit
import os
import queue
import random
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ohlora.dialogue.prompt import Prompt
from ohlora.errors import CheckpointError, EngineError
from ohlora.llm.decode import AnswerText, TokenText
from ohlora.llm.engine import Finish, Progress, Sampling
from ohlora.llm.prepare import prepare

CONTEXT_TOKENS = 512  # prompt and answer; her training saw short turns only
MOST_ANSWERS = 2  # answers at the same time; more wait their turn
_open_engines: weakref.WeakSet[CT2Engine] = weakref.WeakSet()


@dataclass(frozen=True)
class Vocabulary:
    """What a model's special tokens are called, and how its tokens become text."""

    begin: tuple[str, ...] = ("<bos>",)
    end: tuple[str, ...] = ("<eos>",)
    silent: tuple[str, ...] = ("<pad>", "<bos>", "<unk>")  # never sampled
    stop_ids: tuple[int, ...] = ()  # ids that end an answer as the mark does
    bytes_spelled: bool = True  # "<0xEC>" is a byte; else tokenizer.json knows how to decode


class CT2Engine:
    """A CTranslate2 model folder with its tokenizer.json. Threads may share one engine."""

    def __init__(
        self,
        folder: Path,
        name: str,
        threads: int | None = None,
        *,
        vocabulary: Vocabulary | None = None,
        context_tokens: int = CONTEXT_TOKENS,
        repeats: bool = True,
    ) -> None:
        """threads: cores per answer; by default up to four.

        repeats: a seed repeats an answer, for which the model is loaded anew; a large one is
        better without. Raises CheckpointError.
        """
        import ctranslate2
        from tokenizers import Tokenizer

        self.id = f"ct2-int8:{name}"
        self.context_tokens = context_tokens
        self.vocabulary, self.repeats = vocabulary or Vocabulary(), repeats
        self.folder = folder
        self.threads = threads or fitting_threads()
        self._ct2: Any = ctranslate2
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises plain Exception
            raise CheckpointError(
                folder / "tokenizer.json", f"not a tokenizer ({error}): delete the folder."
            ) from error
        self._tokenizer.no_truncation()  # what training left in the file
        self._tokenizer.no_padding()
        self._model = self._load()
        self._closed = False
        self._starting = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_ANSWERS)
        self._running: dict[threading.Event, Any] = {}  # "nobody listens": its model
        _open_engines.add(self)

    def close(self) -> None:
        """Stop what runs and free the model; the engine answers no more."""
        self._closed = True
        for left in list(self._running):
            left.set()
        self._running.clear()
        self._model = None

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(_utf8(text)).ids)

    def generate(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, Finish]:
        """Yield pieces of the answer; return why it ended. Raises EngineError."""
        while not self._places.acquire(timeout=0.05):
            if stopped():
                return "stopped"
        try:
            return (yield from self._answer(prompt, sampling, stopped))
        finally:
            self._places.release()

    def _answer(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, Finish]:
        steps: queue.SimpleQueue[Any] = queue.SimpleQueue()
        left = threading.Event()

        def on_step(step: Any) -> bool:
            steps.put(step)
            return left.is_set() or stopped()

        words = self.vocabulary
        text = AnswerText(self._spell, words.stop_ids, prompt.exact)
        limit = min(sampling.max_new_tokens, self.context_tokens // 2)
        count, ended = 0, False
        result = self._start(prompt, limit, sampling, on_step, left)
        try:
            for step in _until_done(steps, result):
                if stopped():
                    return "stopped"
                if step.token in words.end:
                    ended = True
                    break
                count += 1
                if piece := text.feed(step.token if words.bytes_spelled else step.token_id):
                    yield piece
                if text.ended:
                    ended = True
                    break
            if piece := text.finish():
                yield piece
            return "stop" if ended or count < limit else "length"
        finally:  # a worker must not outlive its model: wait for the token it is at
            left.set()
            with suppress(RuntimeError, ValueError):
                result.result()
            self._running.pop(left, None)

    def _spell(self, tokens: list[Any]) -> str:
        """Tokens of _answer as text, with U+FFFD where bytes are no character."""
        if self.vocabulary.bytes_spelled:
            return "".join(map(TokenText().feed, tokens))
        return str(self._tokenizer.decode(tokens))

    def _prompt_tokens(self, prompt: Prompt, limit: int) -> list[str]:
        """The prompt after its first token. Of one too long, the user's last words are kept."""
        room = self.context_tokens - limit - 1
        text, user = prompt.completion(), prompt.user
        encoding = self._tokenizer.encode(_utf8(text))
        while len(encoding.ids) > room and user:
            user = user[len(user) // 8 + 1 :]
            text = replace(prompt, user=user).completion()
            encoding = self._tokenizer.encode(_utf8(text))
        return [*self.vocabulary.begin, *encoding.tokens[-room:]]

    def _start(
        self,
        prompt: Prompt,
        limit: int,
        sampling: Sampling,
        on_step: Callable[[Any], bool],
        left: threading.Event,
    ) -> Any:
        """Queue the request; returns CTranslate2's handle on the running generation."""
        options: dict[str, Any] = {"sampling_topk": 1}
        if sampling.temperature > 0:
            options = {
                "sampling_topk": sampling.top_k,
                "sampling_topp": sampling.top_p,
                "sampling_temperature": sampling.temperature,
            }
        tokens = self._prompt_tokens(prompt, limit)
        with self._starting:
            model = self._model_for(sampling)
            try:
                (result,) = model.generate_batch(
                    [tokens],
                    asynchronous=True,
                    beam_size=1,
                    max_length=limit,
                    repetition_penalty=sampling.repetition_penalty,
                    suppress_sequences=[[token] for token in self.vocabulary.silent],
                    end_token=list(self.vocabulary.end),
                    return_end_token=True,
                    include_prompt_in_result=False,
                    callback=on_step,
                    **options,
                )
            except (RuntimeError, ValueError) as error:
                raise _failed(error) from error
            self._running[left] = model
        return result

    def _model_for(self, sampling: Sampling) -> Any:
        """The loaded model, or for a seeded draw a new copy whose random numbers start there.

        CTranslate2 seeds a worker thread at its first draw and never again, so a repeatable
        answer needs a new worker (some 50 ms); the one throw-away token makes it draw. Answers
        that still run keep the old copy; where none does, it goes first.
        """
        if self._closed:
            raise _failed(RuntimeError("the engine is closed"))
        if sampling.seed is None or sampling.temperature <= 0 or not self.repeats:
            self._model = self._model or self._load()
            return self._model
        if not self._running:
            self._model = None
        self._ct2.set_random_seed(sampling.seed % 2**32)
        model = self._load()
        model.generate_batch([list(self.vocabulary.begin)], max_length=1, sampling_topk=2)
        self._ct2.set_random_seed(random.getrandbits(32))
        self._model = model
        return model

    def _load(self) -> Any:
        try:
            return self._ct2.Generator(
                str(self.folder),
                device="cpu",
                compute_type="int8",
                inter_threads=1,
                intra_threads=self.threads,
            )
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                self.folder,
                f"the model cannot be loaded ({error}): delete this folder and start again.",
                f"모델을 읽을 수 없어요({error}). 이 폴더를 지우고 다시 시작해 주세요.",
            ) from error


def fitting_threads() -> int:
    """Half the cores, one to four: decoding waits for memory, and a core others use slows all."""
    return max(1, min(4, (os.cpu_count() or 1) // 2))


def load_embedded(progress: Progress, adapter: Path | None = None) -> CT2Engine:
    """The embedded base with her adapter, or another one, prepared on the first call.

    Raises CheckpointError, StoreError.
    """
    folder = prepare(progress, adapter=adapter)
    name = "ohlora" if adapter is None else adapter.resolve().parent.name
    return CT2Engine(folder, f"gemma-3-270m+{name}@{folder.name.removeprefix('llm-')[:8]}")


@atexit.register
def _close_all() -> None:
    """A worker that lets go of its last callback after Python's end would abort the process."""
    for engine in list(_open_engines):
        engine.close()


def _until_done(steps: queue.SimpleQueue[Any], result: Any) -> Iterator[Any]:
    """Steps as they come, until the last one. Raises EngineError when decoding failed."""
    while True:
        try:
            step = steps.get(timeout=0.1)
        except queue.Empty:
            if not (result.done() and steps.empty()):
                continue
            try:
                result.result()
            except (RuntimeError, ValueError) as error:
                raise _failed(error) from error
            return
        yield step
        if step.is_last:
            return


def _utf8(text: str) -> str:
    """Text without lone surrogates, which have no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _failed(error: Exception) -> EngineError:
    return EngineError(
        f"The language model failed ({error}): try again, and restart if it keeps failing.",
        f"언어 모델이 답하지 못했어요({error}). 다시 해 보고, 계속되면 다시 시작해 주세요.",
    )
