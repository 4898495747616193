"""The task "hanzi-to-pinyin" of transformers."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoModelForTokenClassification, Pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from .errors import InputError
from .files import bundled_checkpoint
from .modeling import load_model, load_tokenizer, max_length
from .modeling.loading import check_tokenizer
from .modeling.tokenization import tokenize
from .reader import TASK, PinyinReader, Scored


class HanziToPinyinPipeline(PinyinReader, Pipeline):
    """Read the pinyin of every hanzi with a PyTorch model; for parameters and results see `reader.PinyinReader`."""

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        check_tokenizer(self.tokenizer)
        self.model.eval()
        if self.model.device.type == "cpu":
            self.model.float()  # half precision is for the disk: on a CPU it is slower
        self._prepare(
            self.model.config.label2id,
            self.tokenizer.get_vocab(),
            self.tokenizer.unk_token_id,
            max_length(self.model, self.tokenizer),
            self.tokenizer.num_special_tokens_to_add(),
        )

    @property
    def phrase_bonus(self) -> float:
        """What the model config has as its phrase bonus, or 0."""
        return getattr(self.model.config, "phrase_bonus", 0.0)

    def _run(self, contents: Sequence[str], use_lexicon: bool) -> Scored:
        encoded = tokenize(self.tokenizer, contents, self._max_length)
        offsets = encoded.pop("offset_mapping")
        inputs = self.tokenizer.pad(encoded, return_tensors="pt")
        candidates = None
        if use_lexicon:
            candidates = torch.from_numpy(np.maximum(self._candidates[inputs["input_ids"].numpy()], 0))
        outputs = self.forward({"inputs": dict(inputs), "candidates": candidates})
        return Scored(encoded["input_ids"], offsets, outputs["scores"].numpy())

    def _forward(self, model_inputs: dict) -> dict[str, torch.Tensor]:
        """Return the scores of the candidates, or all logits if there are none."""
        logits = self.model(**model_inputs["inputs"]).logits.float()
        candidates = model_inputs["candidates"]
        return {"scores": logits if candidates is None else logits.gather(-1, candidates)}


def load_pipeline(
    name: str, revision: str | None = None, device: str | int | None = None, **kwargs
) -> HanziToPinyinPipeline:
    """Load a checkpoint into PyTorch; see `auto.pipeline`."""
    if device is not None:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"no device {device!r} here: {reason}; try cpu or cuda:0") from None
    return HanziToPinyinPipeline(
        model=load_model(name, revision, for_inference=True),
        tokenizer=load_tokenizer(name, revision),
        task=TASK,
        device=device,
        **kwargs,
    )


def register() -> None:
    """Register the task, so that ``transformers.pipeline("hanzi-to-pinyin")`` finds it."""
    PIPELINE_REGISTRY.register_pipeline(
        TASK,
        pipeline_class=HanziToPinyinPipeline,
        pt_model=AutoModelForTokenClassification,
        default={"model": (bundled_checkpoint(), "main")},
        type="text",
    )


if TASK not in PIPELINE_REGISTRY.get_supported_tasks():
    register()
