"""Files of the package, files written whole or not at all, and text files."""

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


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines (from 1, without the newline) of a UTF-8 text file.

    Raises:
        InputError: if the file cannot be read or is not UTF-8, naming file and line.
    """
    try:
        with open(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise InputError(f"{path}, line {number}: not UTF-8 ({error.reason}): convert the file") from None
                yield number, line.rstrip("\r\n")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def read_json_lines(path: str | Path) -> Iterator[tuple[str, Any]]:
    """Yield the values of a JSON-lines file, each with its place (``FILE, line N``) for messages; blank lines are left
    out.

    Raises:
        InputError: if the file cannot be read or a line is not JSON, naming file and line.
    """
    for number, line in read_lines(path):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            yield where, json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{where}: not JSON: {error}") from None
