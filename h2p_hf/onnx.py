"""Run an exported model with ONNX Runtime, on the CPU, without torch."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession, SessionOptions
from tokenizers import Tokenizer

from .errors import InputError
from .parallel import cores
from .reader import PinyinReader, Scored, longest_input
from .text import encodable

ONNX_FILES = {"onnx": "onnx/model.onnx", "onnx-int8": "onnx/model_quantized.onnx"}
"""Where a checkpoint has its exported models, by backend: the names that optimum and transformers.js look for."""

FILES = ("tokenizer.json", "tokenizer_config.json", "config.json")
"""What an exported model needs beside it."""

INPUTS = ("input_ids", "attention_mask")


class OnnxPinyinReader(PinyinReader):
    """Read the pinyin of every hanzi with ONNX Runtime; for parameters and results see `reader.PinyinReader`.

    Batches are run in parallel, on as many threads as ``OMP_NUM_THREADS`` says, or else as there are cores: matrices of this
    size gain less from being shared out.

    Args:
        session (`InferenceSession`): takes `INPUTS`, `(batch_size, sequence_length)` each, and returns logits.
        tokenizer (`Tokenizer`): of the ``tokenizers`` library.
        tokenizer_config (`dict`): the content of tokenizer_config.json.
        config (`dict`): the content of config.json.
        kwargs: parameters of `PinyinReader`.

    Raises:
        InputError: if the labels are no syllables.
    """

    def __init__(
        self, session: InferenceSession, tokenizer: Tokenizer, tokenizer_config: dict, config: dict, **kwargs: Any
    ):
        pad, unknown = (_content(tokenizer_config.get(f"{kind}_token")) for kind in ("pad", "unk"))
        limit = longest_input(tokenizer_config.get("model_max_length"), config.get("max_position_embeddings"))
        special_tokens = tokenizer.num_special_tokens_to_add(is_pair=False)
        unk_id = tokenizer.token_to_id(unknown) if unknown else None
        self._prepare(config.get("label2id", {}), tokenizer.get_vocab(), unk_id, limit, special_tokens)
        tokenizer.enable_truncation(limit)
        tokenizer.enable_padding(pad_id=tokenizer.token_to_id(pad), pad_token=pad)
        self._session, self._tokenizer = session, tokenizer
        wanted = os.environ.get("OMP_NUM_THREADS", "")
        self._threads = int(wanted) if wanted.isdecimal() and int(wanted) else cores()
        self.phrase_bonus = config.get("phrase_bonus", 0.0)
        found = self._sanitize_parameters(**kwargs)
        self._preprocess_params, self._forward_params, self._postprocess_params = found

    @classmethod
    def from_pretrained(
        cls, name_or_path: str, backend: str = "onnx-int8", revision: str | None = None, **kwargs: Any
    ) -> "OnnxPinyinReader":
        """Load the exported model of a checkpoint.

        Args:
            name_or_path (`str`): a folder or a Hub id.
            backend (`str`, *optional*, defaults to `"onnx-int8"`): a key of `ONNX_FILES`.
            revision (`str`, *optional*): branch, tag or commit on the Hub.
            kwargs: parameters of `PinyinReader`.

        Raises:
            InputError: if a file is missing or corrupt.
        """
        names = (ONNX_FILES[backend], *FILES)
        paths = [checkpoint_file(name_or_path, name, revision) for name in names]
        for name, path in zip(names, paths, strict=True):
            if path is None:
                raise InputError(
                    f"{name_or_path} has no {name} (or cannot be reached): write it with recipes/export.py --model "
                    f"{name_or_path}"
                )
        options = SessionOptions()
        options.intra_op_num_threads = 1
        try:
            # Measured with onnxruntime 1.32: the fused skip and layer norm is slower than the two, 33 against 24 us a character.
            session = InferenceSession(
                str(paths[0]), options, providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
            )
            tokenizer = Tokenizer.from_file(str(paths[1]))
            configs = [json.loads(path.read_text("utf-8")) for path in paths[2:]]
        except Exception as error:  # onnxruntime and tokenizers have a class of their own for each kind of failure
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"cannot load {name_or_path}: {reason}; export it again with recipes/export.py") from None
        if {entry.name for entry in session.get_inputs()} != set(INPUTS):
            raise InputError(
                f"{paths[0]} takes other inputs than {', '.join(INPUTS)}: export it with recipes/export.py"
            )
        return cls(session, tokenizer, *configs, **kwargs)

    @staticmethod
    def is_there(name_or_path: str, backend: str, revision: str | None = None) -> bool:
        """Return whether a checkpoint has all that an exported model needs (from the Hub it is downloaded)."""
        return all(checkpoint_file(name_or_path, name, revision) for name in (ONNX_FILES[backend], *FILES))

    def _run(self, contents: Sequence[str], use_lexicon: bool) -> Scored:
        encoded = self._tokenizer.encode_batch(list(map(encodable, contents)))
        ids = np.array([one.ids for one in encoded])
        inputs = dict(zip(INPUTS, (ids, np.array([one.attention_mask for one in encoded])), strict=True))
        scores = self._session.run(None, inputs)[0]
        if use_lexicon:
            scores = np.take_along_axis(scores, np.maximum(self._candidates[ids], 0), axis=-1)
        return Scored([one.ids for one in encoded], [one.offsets for one in encoded], scores)


def checkpoint_file(name_or_path: str, name: str, revision: str | None = None) -> Path | None:
    """Return a file of a checkpoint, downloaded if it is on the Hub, or None if there is no such file.

    Raises:
        InputError: if the Hub does not answer as it should.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, RepositoryNotFoundError

    try:
        return Path(hf_hub_download(name_or_path, name, revision=revision))
    except (EntryNotFoundError, RepositoryNotFoundError, HFValidationError):
        return None
    except Exception as error:  # of the network, the server and the disk
        raise InputError(f"cannot get {name} of {name_or_path}: {' '.join(str(error).split())[:200]}") from None


def _content(token: str | dict | None) -> str | None:
    return token["content"] if isinstance(token, dict) else token
