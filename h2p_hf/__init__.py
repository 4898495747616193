"""Hanzi to pinyin with Hugging Face Transformers.

``import h2p_hf`` is quick: what needs torch is imported on first use, and the task "hanzi-to-pinyin" is registered as
soon as transformers' pipelines are imported.
"""

import importlib

import wrapt

from .errors import InputError

__version__ = "0.1.0"

_LAZY = {
    "pipeline": "auto",
    "HanziToPinyinPipeline": "pipelines",
    "UserDictionary": "lexicon",
    "InlineText": "inline",
    "load": "data",
}

__all__ = ["InputError", "__version__", *_LAZY]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@wrapt.when_imported("transformers.pipelines")
def _register_task(_) -> None:
    importlib.import_module(".pipelines", __name__)
