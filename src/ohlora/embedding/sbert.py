"""A sentence-transformers folder as an encoder: v1's published S-BERT, or another of that layout.

    modules.json                  Transformer, Pooling[, Normalize]
    sentence_bert_config.json     {"max_seq_length": 64, "do_lower_case": true}
    1_Pooling/config.json         the mean over unmasked tokens, or the first token
    config.json, model.safetensors, tokenizer.json, ...   a transformers model

The network itself is transformers' AutoModel; reading the three small files and pooling is all
that sentence-transformers would add. Vectors are made unit length: v1 keeps them as they are and
divides in its cosine, which is the same number. Weights come from safetensors only, never a pickle.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

V1_THRESHOLD = 0.6
BATCH = 32  # sentences


class SentenceBert:
    """Satisfies ohlora.embedding.Encoder. One forward pass at a time."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        id: str,
        max_length: int,
        lower: bool,
        pooling: str,
        recall_threshold: float,
        lines_threshold: float,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.id = id
        self.max_length, self.lower, self.pooling = max_length, lower, pooling
        self.recall_threshold, self.lines_threshold = recall_threshold, lines_threshold
        self.dim = int(model.config.hidden_size)
        self.lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [N, dim] float32 of N texts; [0, dim] for none."""
        out = np.zeros((len(texts), self.dim), np.float32)
        # Sorted by length, a batch pads little.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        with self.lock:
            for start in range(0, len(order), BATCH):
                part = order[start : start + BATCH]
                out[part] = self._encode([texts[i] for i in part])
        return out

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        import torch
        import torch.nn.functional as F

        clean = [t.encode("utf-8", "replace").decode("utf-8").strip() for t in texts]
        batch = self.tokenizer(
            [t.lower() for t in clean] if self.lower else clean,
            padding=True,
            truncation=True,
            max_length=self.max_length,
            return_tensors="pt",
        ).to(self.model.device)
        with torch.inference_mode():
            hidden = self.model(**batch).last_hidden_state  # [B, L, dim]
            vectors = pool(hidden.float(), batch["attention_mask"], self.pooling)
            unit: NDArray[np.float32] = F.normalize(vectors, dim=-1).cpu().numpy()
        return unit


def pool(hidden: Tensor, mask: Tensor, how: str) -> Tensor:
    """[B, L, dim] to [B, dim]: "cls" is the first token, "mean" the mean where mask is 1."""
    if how == "cls":
        return hidden[:, 0]
    weights = mask[..., None].to(hidden.dtype)  # [B, L, 1]
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def load_sbert(folder: Path, device: str = "cpu") -> SentenceBert:
    """Load the folder in eval mode. Raises CheckpointError.

    Thresholds are v1's 0.6 unless config_sentence_transformers.json has `recall_threshold` or
    `lines_threshold`.
    """
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise CheckpointError(
            weights,
            "not there: want a sentence-transformers folder with safetensors weights",
            "파일이 없어요. safetensors 가중치가 든 sentence-transformers 폴더가 필요해요",
        )
    pooling = read_pooling(folder)
    settings = read_json(folder / "sentence_bert_config.json")
    extras = read_json(folder / "config_sentence_transformers.json")
    model_settings = read_json(folder / "config.json")
    positions = int(model_settings.get("max_position_embeddings", 514)) - 2

    try:
        import transformers
    except ImportError as error:
        raise CheckpointError(
            folder,
            "this encoder needs torch and transformers: pip install 'ohlora[torch]'",
            "이 인코더에는 torch와 transformers가 필요해요: pip install 'ohlora[torch]'",
        ) from error
    try:
        # Ours says what is being loaded.
        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
    # transformers and safetensors raise many kinds; each means that the folder is unusable.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            folder, f"cannot be loaded ({reason})", f"불러올 수 없어요({reason})"
        ) from error
    return SentenceBert(
        model.to(device).eval(),
        tokenizer,
        id=f"sbert:{folder.name}@{content_hash(folder, pooling)}",
        max_length=min(int(settings.get("max_seq_length") or 512), positions),
        lower=bool(settings.get("do_lower_case", False)),
        pooling=pooling,
        recall_threshold=float(extras.get("recall_threshold", V1_THRESHOLD)),
        lines_threshold=float(extras.get("lines_threshold", V1_THRESHOLD)),
    )


def read_pooling(folder: Path) -> str:
    """ "mean" or "cls" from 1_Pooling/config.json; "mean" when a plain model has no such file."""
    path = folder / "1_Pooling" / "config.json"
    config = read_json(path)
    chosen = [k for k, on in config.items() if k.startswith("pooling_mode_") and on is True]
    # Newer writers name the mode in one word instead of flags.
    if "pooling_mode" in config:
        chosen = [f"pooling_mode_{config['pooling_mode']}"]
    known = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_mean": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_cls": "cls",
    }
    if not config:
        return "mean"
    if len(chosen) != 1 or chosen[0] not in known:
        raise CheckpointError(
            path,
            f"want mean or cls pooling, got {', '.join(chosen) or 'none'}",
            f"mean 또는 cls 풀링이어야 하는데 {', '.join(chosen) or '없음'}이에요",
        )
    return known[chosen[0]]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; {} when there is no such file."""
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            path, f"not readable as JSON ({error})", f"JSON으로 읽을 수 없어요({error})"
        ) from error
    if not isinstance(data, dict):
        raise CheckpointError(path, "want a JSON object", "JSON 객체여야 해요")
    return data


def content_hash(folder: Path, pooling: str) -> str:
    """Eight hex digits over weights, tokenizer and the small files that decide a vector."""
    digest = hashlib.sha256(pooling.encode())
    for name in ("model.safetensors", "tokenizer.json", "vocab.txt", "sentence_bert_config.json"):
        path = folder / name
        if path.exists():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:8]
