"""Any Hugging Face causal LM from a folder, with or without a LoRA adapter; CPU or CUDA.

    hf:DIR                              e.g. a chat model; its chat template is used
    hf:polyglot-ko-1.3b+llm-adapter     v1's; source.py says what may stand here

`HFJobs` holds one base with an adapter for each job of jobs.py and switches between them.

The loop is our own, so it ends within a token of a stop and draws the same for the same seed.
Needs the torch extra; torch is imported here and nowhere else on this path.
"""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ohlora.dialogue.prompt import Prompt
from ohlora.errors import BadInput, CheckpointError, EngineError
from ohlora.llm.adapter import check_made_with, vocabulary_digest
from ohlora.llm.decode import AnswerText, StopText
from ohlora.llm.engine import Finish, Progress, Sampling
from ohlora.llm.jobs import JOBS
from ohlora.llm.source import Source, read_source

MOST_ANSWERS = 2  # at the same time


def load_hf(spec: str, progress: Progress) -> HFEngine:
    """Load "BASE[+ADAPTER][;stop=IDS]". Raises BadInput, CheckpointError, EngineError."""
    source = read_source(spec)
    return HFEngine(source.base, source.adapter, stop_ids=source.stop_ids, progress=progress)


class HFEngine:
    """A causal LM in bfloat16. Threads may share one engine."""

    def __init__(
        self,
        base: Path,
        adapter: Path | None = None,
        *,
        stop_ids: Sequence[int] = (),
        device: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """device: "cpu" or "cuda", by default CUDA where there is one.

        Raises CheckpointError on a folder that does not fit, EngineError without torch.
        """
        torch = _import_torch()
        source = Source(base, adapter, tuple(stop_ids))
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.stop_ids = list(stop_ids)
        (progress or (lambda what, part: None))(f"loading {base.name}", 0.0)
        self._tokenizer, self._model = _load(source, self.device)
        self._has_chat = bool(getattr(self._tokenizer, "chat_template", None)) and adapter is None
        # transformers renamed the argument in 5.24.
        names = inspect.signature(self._model.forward).parameters
        self._cache_name = "cache" if "cache" in names else "past_key_values"
        self._ends = _end_ids(self._model, self._tokenizer)
        self._places = threading.BoundedSemaphore(MOST_ANSWERS)
        config = self._model.config
        self.context_tokens = int(getattr(config, "max_position_embeddings", None) or 2048)
        self.id = f"hf-bf16:{source.name}"

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer(_utf8(text), add_special_tokens=False)["input_ids"])

    def generate(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, Finish]:
        """Yield pieces of the answer; return why it ended. Raises EngineError."""
        while not self._places.acquire(timeout=0.05):
            if stopped():
                return "stopped"
        try:
            return (yield from self._answer(prompt, sampling, stopped))
        except (RuntimeError, IndexError) as error:  # out of memory, broken weights
            raise EngineError(
                f"The language model failed ({_first_line(error)}): use a smaller model or the "
                "embedded one.",
                f"언어 모델이 답하지 못했어요({_first_line(error)}). 더 작은 모델이나 내장 모델을 "
                "써 주세요.",
            ) from error
        finally:
            self._places.release()

    def _answer(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, Finish]:
        import torch
        from transformers import DynamicCache

        rng = torch.Generator(self.device)
        rng.seed() if sampling.seed is None else rng.manual_seed(sampling.seed)
        limit = min(sampling.max_new_tokens, self.context_tokens // 2)
        ids = self._prompt_ids(prompt)[-(self.context_tokens - limit) :]
        text = AnswerText(self._text, self.stop_ids, prompt.exact)
        drawn: list[int] = []
        cache = {self._cache_name: DynamicCache(config=self._model.config)}  # filled in place
        step = torch.tensor([ids], device=self.device)
        finish: Finish = "length"
        while len(drawn) < limit:
            if stopped():
                return "stopped"
            with torch.inference_mode():
                out = self._model(input_ids=step, use_cache=True, **cache)
                token = draw(out.logits[0, -1].float(), drawn, sampling, rng)
            if token in self._ends:
                finish = "stop"
                break
            drawn.append(token)
            step = torch.tensor([[token]], device=self.device)
            yield from _some(text.feed(token))
            if text.ended:
                finish = "stop"
                break
        yield from _some(text.finish())
        return finish

    def _prompt_ids(self, prompt: Prompt) -> list[int]:
        if not self._has_chat:
            return list(self._tokenizer(_utf8(prompt.completion()))["input_ids"])
        messages = prompt.messages()
        try:
            text = self._chat(messages)
        except Exception:  # jinja: some templates refuse a system role; it becomes the user's
            if len(messages) < 2 or messages[0]["role"] != "system":
                raise
            system, first, *rest = messages
            joined = {"role": "user", "content": f"{system['content']}\n\n{first['content']}"}
            text = self._chat([joined, *rest])
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _chat(self, messages: list[dict[str, str]]) -> str:
        text = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return _utf8(str(text))

    def _text(self, ids: list[int]) -> str:
        """The text of these ids, with U+FFFD where bytes are no character."""
        text = self._tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)


class HFJobs:
    """One base in bfloat16 and an adapter for each job, switched for each question. Threads may
    share it: one answers at a time."""

    def __init__(self, base: Path, adapters: Mapping[str, Path], device: str | None = None) -> None:
        """adapters: folder by job. Raises BadInput on an unknown job, CheckpointError on an adapter
        of another base, tokenizer or job, EngineError without torch."""
        torch = _import_torch()
        for job in adapters:
            if job not in JOBS:
                raise BadInput(
                    f"There is no job {job!r}: choose among {', '.join(JOBS)}.",
                    f"{job!r} 일은 없어요. {', '.join(JOBS)} 가운데 골라 주세요.",
                )
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer, self._model = _load_jobs(base, adapters)
        self._model = self._model.to(self.device).eval()
        self._ends = _end_ids(self._model.get_base_model(), self._tokenizer)
        self._lock = threading.Lock()

    @property
    def jobs(self) -> tuple[str, ...]:
        return tuple(self._model.peft_config)

    def ask(self, job: str, text: str, memories: Sequence[str] = ()) -> str:
        """What the job's adapter answers, greedily. Raises BadInput when it has none."""
        import torch

        if job not in self.jobs:
            raise BadInput(
                f"There is no adapter for {job!r} here: load one, or ask {', '.join(self.jobs)}.",
                f"{job!r} 어댑터가 없어요. 불러오거나 {', '.join(self.jobs)}에 물어보세요.",
            )
        template = JOBS[job]
        ids = self._tokenizer(_utf8(template.prompt(text, memories)))["input_ids"]
        with self._lock, torch.inference_mode():
            self._model.set_adapter(job)
            step = torch.tensor([ids], device=self.device)
            out = self._model.generate(
                input_ids=step,
                attention_mask=torch.ones_like(step),
                max_new_tokens=template.longest,
                do_sample=False,
                stop_strings=[template.stop],
                tokenizer=self._tokenizer,
                eos_token_id=sorted(self._ends),
                pad_token_id=min(self._ends),
            )
        told = self._tokenizer.decode(out[0, len(ids) :], skip_special_tokens=True)
        answer = StopText([template.stop])
        return (answer.feed(told) + answer.finish()).replace("\ufffd", "").strip()


def _load_jobs(base: Path, adapters: Mapping[str, Path]) -> tuple[Any, Any]:
    """The base's tokenizer, and the base with every adapter loaded under its job's name."""
    tokenizer, plain = _load(Source(base), "cpu")
    digest = vocabulary_digest(tokenizer.get_vocab())
    from peft import PeftModel

    model: Any = None
    for job, folder in adapters.items():
        check_made_with(folder, digest, job)
        try:
            with warnings.catch_warnings():  # peft still says what transformers now renames
                warnings.simplefilter("ignore", FutureWarning)
                warnings.filterwarnings("error", ".*missing adapter keys")
                if model is None:
                    model = PeftModel.from_pretrained(plain, str(folder), adapter_name=job)
                else:
                    model.load_adapter(str(folder), adapter_name=job)
        except Exception as error:  # peft raises almost anything on a bad folder
            raise CheckpointError(
                folder,
                f"the adapter does not fit {base.name} ({_first_line(error)}): take one that was "
                "trained on this base.",
                f"어댑터가 {base.name}에 맞지 않아요({_first_line(error)}). 이 바탕 모델로 학습한 "
                "것을 써 주세요.",
            ) from error
    return tokenizer, model


def draw(logits: Any, before: Sequence[int], sampling: Sampling, rng: Any) -> int:
    """One token id from logits [V], in the order penalty, temperature, top k, top p."""
    import torch

    if before and sampling.repetition_penalty != 1.0:
        seen = torch.tensor(sorted(set(before)), device=logits.device)
        score = logits[seen]
        score = torch.where(
            score > 0, score / sampling.repetition_penalty, score * sampling.repetition_penalty
        )
        logits = logits.index_copy(0, seen, score)
    if sampling.temperature <= 0:
        return int(logits.argmax())
    values, order = (logits / sampling.temperature).sort(descending=True)
    if 0 < sampling.top_k < len(values):
        values, order = values[: sampling.top_k], order[: sampling.top_k]
    chances = values.softmax(-1)
    if sampling.top_p < 1.0:
        chances = chances * (chances.cumsum(-1) - chances < sampling.top_p)  # the first always
    return int(order[torch.multinomial(chances, 1, generator=rng)])


def _load(source: Source, device: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # ours says what is loaded

    model: Any
    where, adapter = source.base, source.adapter
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(source.tokenizer), local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            str(source.base), dtype=torch.bfloat16, local_files_only=True
        )
        if adapter is not None:
            # The adapter's own note of its base (often another machine's path) is not followed.
            from peft import PeftModel

            where = adapter
            check_made_with(adapter, vocabulary_digest(tokenizer.get_vocab()))
            with warnings.catch_warnings():  # peft still says what transformers now renames
                warnings.simplefilter("ignore", FutureWarning)
                model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except CheckpointError:
        raise
    except Exception as error:  # transformers and peft raise almost anything on a bad folder
        raise CheckpointError(
            where,
            f"it cannot be loaded ({_first_line(error)}): fetch it again, and check that adapter "
            "and base belong together.",
            f"읽을 수 없어요({_first_line(error)}). 다시 받고, 어댑터와 바탕 모델이 맞는지 확인해 "
            "주세요.",
        ) from error
    placed: Any = model.to(device)
    return tokenizer, placed.eval()


def _end_ids(model: Any, tokenizer: Any) -> set[int]:
    ends: set[int] = set()
    for value in (getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id):
        if value is not None:
            ends |= set(value) if isinstance(value, (list, tuple)) else {value}
    return ends


def _some(piece: str) -> tuple[str, ...]:
    return (piece,) if piece else ()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _import_torch() -> Any:
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        fix = 'pip install "ohlora[torch]"'
        raise EngineError(
            f"Hugging Face models need torch and transformers ({error}): run `{fix}`.",
            f"허깅페이스 모델에는 torch와 transformers가 필요해요. `{fix}`를 실행해 주세요.",
        ) from error
    return torch
