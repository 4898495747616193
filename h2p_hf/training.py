"""The argument dataclasses and the Trainer wiring that the recipes share."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from transformers import HfArgumentParser

from .errors import InputError


def parse_args(dataclass_types: Sequence[type], argv: Sequence[str] | None = None, description: str | None = None):
    """Parse dataclasses from an optional YAML file (first argument) and flags that override it.

    The YAML file is turned into flags in front of the others: `HfArgumentParser.parse_yaml_file` would convert and
    check nothing (``learning_rate: 5e-5`` stays text).

    Args:
        dataclass_types (sequence of dataclasses): what `HfArgumentParser` takes.
        argv (sequence of `str`, *optional*): defaults to the command line.

    Returns:
        One instance a dataclass.

    Raises:
        InputError: if the file is missing, no mapping, or holds an unknown key. Bad flags exit with code 2 (argparse).
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = HfArgumentParser(dataclass_types, description=description)
    if argv and argv[0].endswith((".yaml", ".yml")):
        argv = _yaml_flags(Path(argv[0]), parser) + argv[1:]
    if not torch.accelerator.is_available():
        argv = ["--use_cpu", "true", *argv]  # else TrainingArguments refuses bf16 on a machine without a GPU
    return parser.parse_args_into_dataclasses(argv, look_for_args_file=False)


def _yaml_flags(path: Path, parser: HfArgumentParser) -> list[str]:
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: write one 'key: value' a line")
    known = {action.dest for action in parser._actions}
    flags = []
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{path}: unknown key {key!r}; see --help for the options")
        if value is not None:
            flags += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    return flags
