"""Load a checkpoint into what runs it."""

from .errors import InputError
from .files import bundled_checkpoint
from .onnx import ONNX_FILES, OnnxPinyinReader
from .reader import PinyinReader

BACKENDS = ("torch", *ONNX_FILES)
"""What runs the model."""


def runs_in_torch(model: str | None, revision: str | None = None, backend: str | None = None) -> bool:
    """Return whether `pipeline` takes torch if no device is asked for."""
    if backend is None:
        return not OnnxPinyinReader.is_there(model or bundled_checkpoint(), "onnx-int8", revision)
    return backend == "torch"


def pipeline(
    model: str | None = None,
    revision: str | None = None,
    device: str | int | None = None,
    backend: str | None = None,
    **kwargs,
) -> PinyinReader:
    """Load a checkpoint, ready to read texts.

    Args:
        model (`str`, *optional*): a checkpoint folder or a Hub id; defaults to the checkpoint of the package.
        revision (`str`, *optional*): branch, tag or commit on the Hub.
        device (`str` or `int`, *optional*): for PyTorch; defaults to the first GPU, or else the CPU.
        backend (`str`, *optional*): ``torch``, or ``onnx`` or ``onnx-int8``, which run on the CPU what
            `modeling.export.export_onnx` wrote; by default ``onnx-int8`` if no device is asked for and the checkpoint has
            it.
        kwargs: parameters of `reader.PinyinReader`, such as `dictionary` or `style`.

    Returns:
        `PinyinReader`: for ``torch`` a `pipelines.HanziToPinyinPipeline`.

    Raises:
        InputError: if the checkpoint cannot be loaded, has no pinyin labels, or not what the backend runs.

    Example:
        >>> pipe = pipeline()
        >>> [item["pinyin"] for item in pipe("银行行长，重新长大了！")]
        ['yin2', 'hang2', 'hang2', 'zhang3', 'chong2', 'xin1', 'zhang3', 'da4', 'le5']
    """
    name = model or bundled_checkpoint()
    if backend not in (None, *BACKENDS):
        raise InputError(f"no backend {backend!r}: choose from {', '.join(BACKENDS)}")
    if backend in ONNX_FILES:
        if device not in (None, "cpu"):
            raise InputError(f"backend {backend} runs on the CPU: leave out device {device!r}, or take backend torch")
        return OnnxPinyinReader.from_pretrained(name, backend, revision, **kwargs)
    if device is None and not runs_in_torch(name, revision, backend):
        return OnnxPinyinReader.from_pretrained(name, "onnx-int8", revision, **kwargs)
    from .pipelines import load_pipeline  # torch takes seconds

    return load_pipeline(name, revision, device, **kwargs)
