"""Export a model to ONNX, in float32 and int8."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..errors import InputError
from ..onnx import INPUTS, ONNX_FILES


def export_onnx(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> dict[str, Path]:
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
        import onnxscript  # noqa: F401 (for torch.onnx.export)
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise InputError(f"{error.name} is not installed: pip install 'h2p-hf[export]'") from None
    paths = {backend: Path(folder) / name for backend, name in ONNX_FILES.items()}
    partial = {backend: path.with_suffix(".part") for backend, path in paths.items()}
    example = tokenizer(["长江", "银行"], return_tensors="pt")
    attention = model.config._attn_implementation
    model.eval().set_attn_implementation("eager")  # a plain matrix product, which ONNX Runtime fuses best
    # torch.export unrolls an LSTM over the length of the example; the older exporter makes it one ONNX node.
    if any(isinstance(module, torch.nn.LSTM) for module in model.modules()):
        names = dict.fromkeys([*INPUTS, "logits"], {0: "batch_size", 1: "sequence_length"})
        exporter = {"dynamo": False, "dynamic_axes": names}
    else:
        dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        exporter = {"dynamo": True, "dynamic_shapes": dict.fromkeys(INPUTS, dynamic), "external_data": False}
    try:
        paths["onnx"].parent.mkdir(parents=True, exist_ok=True)
        with _quiet():
            torch.onnx.export(
                model,
                (),
                str(partial["onnx"]),
                kwargs={name: example[name] for name in INPUTS},
                input_names=list(INPUTS),
                output_names=["logits"],
                verbose=False,
                **exporter,
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
