"""ONNX: a model exported for ONNX Runtime, as float32 and as int8, and the stand-in for the PyTorch model that runs it."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from onnxruntime import InferenceSession, SessionOptions
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.utils import cached_file

from ..errors import InputError
from .loading import load_config

ONNX_FILES = {"onnx": "onnx/model.onnx", "onnx-int8": "onnx/model_quantized.onnx"}
"""Where a checkpoint has its exported models, by backend: the names that optimum and transformers.js look for."""

INPUTS = ("input_ids", "attention_mask")


class OnnxModel:
    """An exported token-classification model, called like the PyTorch one; it runs on the CPU, on as many threads as torch.

    Args:
        path (`str` or `Path`): the ``.onnx`` file.
        config (`PreTrainedConfig`): the config of the checkpoint.

    Raises:
        InputError: if the file is no model.
    """

    device = torch.device("cpu")

    def __init__(self, path: str | Path, config: PreTrainedConfig):
        options = SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # a class of its own for each kind of failure
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"cannot load {path}: {reason}; export it again with recipes/export.py") from None
        self.config = config

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> TokenClassifierOutput:
        """Return the logits, `(batch_size, sequence_length, num_labels)`."""
        inputs = zip(INPUTS, (input_ids.numpy(), attention_mask.numpy()), strict=True)
        return TokenClassifierOutput(logits=torch.from_numpy(self._session.run(None, dict(inputs))[0]))

    def eval(self) -> "OnnxModel":
        """Return itself: an exported model has no dropout."""
        return self

    def float(self) -> "OnnxModel":
        """Return itself: its weights stay as they were exported."""
        return self


def load_onnx(name_or_path: str, backend: str, revision: str | None = None) -> OnnxModel | None:
    """Load the exported model of a checkpoint, or return None if it has none.

    Args:
        name_or_path (`str`): a folder or a Hub id.
        backend (`str`): a key of `ONNX_FILES`.
        revision (`str`, *optional*): branch, tag or commit on the Hub.

    Raises:
        InputError: if there is no such checkpoint, or the file is no model.
    """
    config = load_config(name_or_path, revision)
    folder = Path(name_or_path).expanduser()
    path = cached_file(
        str(folder) if folder.is_dir() else name_or_path,
        ONNX_FILES[backend],
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return OnnxModel(path, config) if path else None


def export(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> dict[str, Path]:
    """Write a model as ONNX, in float32 and in int8, below a checkpoint folder (see `ONNX_FILES`).

    int8 is dynamic quantisation: weights by output channel once, activations by tensor at run time (Jacob et al. 2018,
    section 2; ``onnxruntime.quantization.quantize_dynamic``). One bit of the weights is left out, so that CPUs without VNNI
    do not overflow.

    Returns:
        `dict[str, Path]`: the files, by backend.

    Raises:
        InputError: if a file cannot be written.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise InputError(f"{error.name} is not installed: pip install 'h2p-hf[export]'") from None
    paths = {backend: Path(folder) / name for backend, name in ONNX_FILES.items()}
    partial = {backend: path.with_suffix(".part") for backend, path in paths.items()}
    example = tokenizer(["长江", "银行"], return_tensors="pt")
    attention = model.config._attn_implementation
    model.eval().set_attn_implementation("eager")  # a plain matrix product, which ONNX Runtime fuses best
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        paths["onnx"].parent.mkdir(parents=True, exist_ok=True)
        with _quiet():
            torch.onnx.export(
                model,
                (),
                str(partial["onnx"]),
                kwargs={name: example[name] for name in INPUTS},
                input_names=INPUTS,
                output_names=["logits"],
                dynamic_shapes=dict.fromkeys(INPUTS, dynamic),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
            quantize_dynamic(
                partial["onnx"], partial["onnx-int8"], weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
            )
        for backend, path in partial.items():
            path.replace(paths[backend])
    except OSError as error:
        raise InputError(f"cannot write the ONNX files in {paths['onnx'].parent}: {error.strerror}") from None
    finally:
        for path in partial.values():
            with suppress(OSError):
                path.unlink()
        model.eval().set_attn_implementation(attention)  # the exporter leaves it in training mode
    return paths


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back the exporter's advice to its developers; errors are raised all the same."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(disabled)
