"""Files of the package, and files written whole or not at all."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from .errors import InputError

RESOURCES = Path(__file__).parent / "resources"


def bundled_checkpoint() -> str:
    """Return the folder of the fine-tuned checkpoint that comes with the package: what the pipeline runs."""
    return str(RESOURCES / "checkpoint")


def bundled_base() -> str:
    """Return the folder of the pretrained checkpoint that comes with the package: what fine-tuning starts from."""
    return str(RESOURCES / "base")


@contextmanager
def atomic_write(path: str | Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file that takes its name only when the block ends well; else nothing is left of it.

    Raises:
        InputError: if it cannot be written, or something that is no ordinary file has its name.
    """
    target = Path(path).resolve()  # behind a link, the file is replaced and the link stays
    if os.path.exists(target) and not target.is_file():
        raise InputError(f"cannot write {path}: it is there and no ordinary file: give another name")
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with open(partial, "w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(partial, target)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            partial.unlink()


def json_line(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Return a value as one line of JSON, readable, or escaped where UTF-8 has no form for it (a lone surrogate).

    Args:
        value: what to write.
        default (`Callable`, *optional*): turns what JSON has no form for into something that it has; see `json.dumps`.
    """
    line = json.dumps(value, ensure_ascii=False, default=default)
    try:
        line.encode()
    except UnicodeEncodeError:
        line = json.dumps(value, default=default)
    return line + "\n"
