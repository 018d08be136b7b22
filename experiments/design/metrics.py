"""Declared metrics: which series is the training loss, which the official metric, which the test.

Without this no rule can know what it reads. Name patterns give defaults; what is declared in
the experiment file stands over them; an undeclared metric is plotted, not judged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from experiments.design.document.file_fields import Part, checked, key_text
from experiments.errors import Problem

Split = Literal["train", "validation", "test", ""]
Kind = Literal["loss", "metric", "gradient_norm", "learning_rate", "other"]
Direction = Literal["minimize", "maximize"]

_SPLIT_WORDS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "eval": "validation",
    "test": "test",
}
_RISING = {
    "accuracy", "acc", "f1", "auc", "auroc", "auprc", "map", "r2", "recall", "precision", "bleu",
    "rouge", "iou", "miou", "dice", "pearson", "spearman", "spearmanr", "mcc", "ndcg", "mrr",
    "psnr", "ssim",
}  # fmt: skip
_FALLING = {
    "loss", "nll", "error", "rmse", "mse", "mae", "mape", "smape", "perplexity", "ppl", "wer",
    "cer", "fid",
}  # fmt: skip
_LOSSES = {"loss", "nll", "crossentropy", "xent"}
_MINIMIZED_AS_LOSS = {"iou", "miou", "dice", "pearson", "mcc", "ndcg", "psnr", "ssim"}


@dataclass(frozen=True, slots=True)
class Metric:
    """A declared metric; `resolution` is the smallest step it can take, in its own unit.

    `chance` is what a model reaches that knows nothing of the input: the share of the largest
    class, 1 over the number of classes, 0 for R2, the loss of always predicting the mean.
    """

    name: str
    split: Split = ""
    kind: Kind = "other"
    direction: Direction | None = None
    resolution: float = 0.0
    official: bool = False
    chance: float | None = None


def guess(name: str) -> Metric:
    """Read split, kind and direction off a metric's name, as far as it tells.

    `train_loss`, `val/f1` and `validation_accuracy` tell all of them; `foo` tells nothing. Also
    read as their libraries mean them: `metrics/mAP50-95(B)` and `lr/pg0` (Ultralytics), `lr-Adam`
    (Lightning), `eval_rouge1` (Transformers).
    """
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    split = next((_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS), "")
    if not split and name.startswith("metrics/"):
        split = "validation"
    joined = "_".join(words)
    if re.search(r"(^|_)grad(ient)?_norm($|_)", joined):
        return Metric(name, "", "gradient_norm", None)
    if joined in ("lr", "learning_rate") or joined.endswith("_learning_rate"):
        return Metric(name, "", "learning_rate", None)
    # A threshold or an n-gram's length follows the word: mAP50, rouge1.
    known = {*words, *(word.rstrip("0123456789") for word in words)}
    scores = known & _RISING
    if known & _LOSSES:
        scores -= _MINIMIZED_AS_LOSS
    falling, rising = bool(known & _FALLING), bool(scores)
    if words[:1] == ["lr"] and not falling and not rising:
        return Metric(name, "", "learning_rate", None)
    if falling == rising:
        return Metric(name, cast(Split, split))
    kind: Kind = "loss" if known & _LOSSES else "metric"
    return Metric(name, cast(Split, split), kind, "minimize" if falling else "maximize")


class DeclaredMetrics(dict[str, Metric]):
    """Metrics of an experiment by name. `seals_test`: its test scores stay unread."""

    seals_test = True


def declared_metrics(document: str) -> DeclaredMetrics:
    """The metrics of an experiment's stored document: of its file, or declared from outside."""
    stored = json.loads(document)
    declared = stored.get("metrics", {}).items()
    found = DeclaredMetrics({name: Metric(**fields) for name, fields in declared})
    found.seals_test = stored.get("seals_test", True)
    return found


def scores_on_test(official: str, declared: Mapping[str, Metric]) -> bool:
    """Test whether a metric is one of the test split, sealed or not, declared or by its name."""
    return (declared.get(official) or guess(official)).split == "test"


def is_test(name: str, declared: Mapping[str, Metric]) -> bool:
    """Tell a metric whose score is sealed: its split is the test, declared or by its name, and the
    experiment seals that split.
    """
    if isinstance(declared, DeclaredMetrics) and not declared.seals_test:
        return False
    return scores_on_test(name, declared)


class _Declared(Part):
    """One metric of the `metrics:` part; what it leaves out is guessed from its name."""

    official: bool = False
    split: Literal["train", "validation", "test"] | None = None
    kind: Kind | None = None
    direction: Direction | None = None
    resolution: Annotated[float, Field(ge=0)] = 0.0
    chance: float | None = None


def parse(document: Any, problems: list[Problem]) -> dict[str, Metric]:
    """Read the `metrics:` part of an experiment file, adding what is wrong to `problems`."""
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        problems.append(Problem("metrics", "must be a mapping of metric names"))
        return {}
    found = {}
    for key, entry in document.items():
        name = str(key)
        declared = checked(_Declared, entry, f"metrics.{key_text(name)}", problems)
        found[name] = replace(guess(name), **declared.model_dump(exclude_none=True))
    return found
