"""Whole corpora: files larger than memory, on all cores or a Ray cluster, in runs that go on after they were killed.

The input is cut into chunks of rows, the unit of all work: a chunk is read in the same batches whoever reads it, so that
the output does not depend on engine or workers. Workers turn a chunk into bytes. One process appends these to files in
``OUTPUT.parts``, in the order of the input, and notes each chunk in a journal there. What follows the last note was cut
off by whatever ended the run, and is done again.
"""

import bz2
import gzip
import hashlib
import io
import itertools
import json
import logging
import lzma
import multiprocessing
import os
import pickle
import shutil
import signal
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import date, time
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from tqdm import tqdm

from . import __version__
from .auto import pipeline, runs_in_torch
from .errors import InputError
from .files import atomic_write, bundled_checkpoint, json_line
from .lexicon import UserDictionary
from .onnx import checkpoint_file
from .parallel import bounded_map, cores
from .pinyin import to_style
from .reader import PinyinReader, best_reading
from .sandhi import spoken
from .traditional import to_simplified

ROWS = 1000
"""Rows of a chunk."""

BYTES = 1 << 20
"""A chunk ends after this many bytes even if it has fewer rows."""

LONGEST_LINE = 64 << 20
"""In bytes: a line has to fit into memory several times."""

KINDS = (".txt", ".jsonl", ".parquet")

ENGINES = ("local", "ray")


def _zstandard(raw: BinaryIO, mode: str) -> BinaryIO:
    if mode == "rb":  # unlike the package zstandard, this one notices where a file was cut off
        return io.BufferedReader(pa.CompressedInputStream(raw, "zstd"))
    return pa.CompressedOutputStream(raw, "zstd")


COMPRESSION: dict[str, Callable[[BinaryIO, str], BinaryIO]] = {
    ".gz": lambda raw, mode: gzip.GzipFile("", mode, fileobj=raw, mtime=0),  # the same bytes whenever it is written
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstandard,
}
"""How to read or write compressed files, by suffix."""


@dataclass(frozen=True)
class Settings:
    """What decides how rows are annotated; see `reader.PinyinReader` and `auto.pipeline`."""

    model: str | None = None
    revision: str | None = None
    device: str | None = None
    backend: str | None = None
    dictionary: UserDictionary | None = None
    names: bool = False
    neutral_tone: bool = True
    min_score: float = 0.0
    style: str = "tone3"
    sandhi: bool = False
    batch_size: int = 32

    def manifest(self) -> dict[str, Any]:
        """Return what a run that goes on with another one's work must have in common with it, ready for JSON."""
        entries = json.dumps(self.dictionary.entries if self.dictionary else {})
        folder = Path(self.model or bundled_checkpoint())
        files = sorted(folder.rglob("*")) if folder.is_dir() else []  # on the Hub the revision says it all
        return {
            **asdict(self),
            "dictionary": hashlib.blake2b(entries.encode(errors="surrogatepass"), digest_size=16).hexdigest(),
            "files of the model": [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in files if p.is_file()],
            "version": __version__,
            "rows of a chunk": [ROWS, BYTES],
        }


class Chunk(NamedTuple):
    """Some rows of a file: its lines as they are, or a table in Arrow's stream format."""

    file: str
    first: int  # number of the first row or line, from 1
    data: bytes
    size: int  # what it is of the file's bytes, for the progress bar

    @property
    def digest(self) -> str:
        """Tell whether this is the chunk that an earlier run has read."""
        head = f"{self.file}\0{self.first}\0".encode(errors="surrogateescape")
        return hashlib.blake2b(head + self.data, digest_size=16).hexdigest()


class Result(NamedTuple):
    """What became of a chunk."""

    digest: str
    size: int
    rows: int
    rejected: int
    characters: int
    part: bytes  # JSON lines, or a table in Arrow's stream format
    rejects: bytes  # JSON lines


class Summary(NamedTuple):
    """How a run ended."""

    rows: int
    rejected: int
    rejects: Path  # where these are, if there are any


def annotate(
    inputs: Iterable[str],
    output: str,
    settings: Settings,
    num_workers: int | None = None,
    engine: str = "local",
    ray_address: str | None = None,
) -> Summary:
    """Add pinyin to the rows of files.

    The output takes its name only when all rows are in it. Until then the work done is in the folder ``OUTPUT.parts``,
    and the same call goes on from there; it may have another engine or number of workers.

    Args:
        inputs (`Iterable[str]`): ``.jsonl`` with the key ``text`` in each row, ``.parquet`` with such a column, folders of
            these, or other files, which are read as text, a row a line. All but parquet may be compressed (`COMPRESSION`).
        output (`str`): ``.parquet``, or else JSON lines, compressed as the suffix says: the rows with ``pinyin``, a list as
            long as the text, and ``sandhi`` if asked for. Rows that cannot be read are in ``OUTPUT.rejected.jsonl`` instead.
        settings (`Settings`): how to annotate.
        num_workers (`int`, *optional*): processes of one thread each, or one with all; defaults to one a core, or one if the
            model is on a GPU. On Ray, actors; defaults to one a core of the cluster, or one a GPU if `settings.device` is one.
        engine (`str`, *optional*, defaults to `"local"`): what runs the workers; the other is `"ray"`.
        ray_address (`str`, *optional*): a Ray cluster; defaults to ``RAY_ADDRESS``, a cluster on this machine, or a new one.

    Raises:
        InputError: if a file cannot be read or written, a worker died, or the folder holds the work of another run. What
            was done is kept in the folder.
    """
    if num_workers is not None and num_workers < 1:
        raise InputError(f"--num_workers must be at least 1, got {num_workers}")
    if settings.batch_size < 1:
        raise InputError(f"--batch_size must be at least 1, got {settings.batch_size}")
    if ray_address and engine != "ray":
        raise InputError("--ray_address is for --engine ray")
    if _kind(output)[0] == ".parquet" and _kind(output)[1]:
        raise InputError(f"{output}: parquet is compressed inside: let the name end in .parquet")
    files = _find(inputs, output)
    if engine not in ENGINES:
        raise InputError(f"no engine {engine!r}: choose from {', '.join(ENGINES)}")
    settings = _settled(settings)
    annotator = Annotator(settings, parquet=_kind(output)[0] == ".parquet")
    with _Store(output, settings.manifest()) as store:
        chunks = read(files)
        known = store.verify(chunks)
        if engine == "ray":
            results = _on_ray(files, store.chunks, annotator, num_workers, ray_address)
        else:
            results = _in_processes(chunks, annotator, num_workers or _cores(settings))
        total = sum(map(os.path.getsize, files)) or None
        bar = tqdm(total=total, initial=known, unit="B", unit_scale=True, unit_divisor=1024, disable=None)
        try:
            with closing(results), bar:
                characters = 0
                for result in results:
                    store.append(result)
                    characters += result.characters
                    speed = characters / max(bar.format_dict["elapsed"], 1e-9)
                    bar.set_postfix_str(f"{store.rows:,} rows, {speed:,.0f} characters/s", refresh=False)
                    bar.update(result.size)
            return store.finish()
        except BrokenExecutor:
            raise store.interrupted("a worker process died; if memory is short, take fewer --num_workers") from None
        except OSError as error:
            raise store.interrupted(f"cannot write {output}: {_reason(error)}") from None
        except pa.ArrowException as error:
            reason = f"{output}: the rows do not fit one table: {_reason(error)}: write .jsonl instead"
            raise store.interrupted(reason) from None
        except InputError as error:
            raise store.interrupted(str(error)) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt(str(store.interrupted("interrupted"))) from None


def read(files: Iterable[str]) -> Iterator[Chunk]:
    """Yield the chunks of files in order; these do not depend on anything but the files.

    Raises:
        InputError: if a file cannot be read or was cut off.
    """
    for file in files:
        try:
            yield from _read_table(file) if _kind(file)[0] == ".parquet" else _read_lines(file)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            raise InputError(f"cannot read {file}: {_reason(error)}") from None


def _read_lines(file: str) -> Iterator[Chunk]:
    compression = _kind(file)[1]
    with open(file, "rb") as raw, COMPRESSION[compression](raw, "rb") if compression else raw as lines:
        first, at, held, size = 1, 0, [], 0

        def chunk() -> Chunk:
            return Chunk(file, first, b"".join(held), raw.tell() - at if compression else size)

        while line := lines.readline(LONGEST_LINE):
            held.append(line)
            size += len(line)
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                where = f"{file}, line {first + len(held) - 1}"
                raise InputError(f"{where}: longer than {LONGEST_LINE >> 20} MiB: cut the text into lines")
            if len(held) == ROWS or size >= BYTES:
                yield chunk()
                first, at, held, size = first + len(held), raw.tell() if compression else 0, [], 0
        if held:
            yield chunk()


def _read_table(file: str) -> Iterator[Chunk]:
    with pq.ParquetFile(file, buffer_size=BYTES) as source:
        if "text" not in source.schema_arrow.names:
            raise InputError(f"{file}: no column 'text' among {', '.join(source.schema_arrow.names)}")
        kind = source.schema_arrow.field("text").type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InputError(f"{file}: column 'text' is {kind}, not string")
        per_row = os.path.getsize(file) / max(source.metadata.num_rows, 1)
        first = 1
        for batch in source.iter_batches(ROWS):
            step = max(1, batch.num_rows * BYTES // max(batch.nbytes, BYTES))
            for start in range(0, batch.num_rows, step):
                piece = batch.slice(start, step)
                yield Chunk(file, first, _to_stream(pa.Table.from_batches([piece])), round(per_row * len(piece)))
                first += len(piece)


class Annotator:
    """Turn chunks into results.

    Args:
        settings (`Settings`): how to annotate.
        parquet (`bool`): whether parts are tables or JSON lines.
    """

    def __init__(self, settings: Settings, parquet: bool):
        self.settings, self.parquet = settings, parquet

    @cached_property
    def _pipe(self) -> PinyinReader:  # in the worker that needs it, not where this is made
        s = self.settings
        options = {"names": s.names, "neutral_tone": s.neutral_tone, "min_score": s.min_score}
        return pipeline(s.model, s.revision, s.device, s.backend, dictionary=s.dictionary, **options)

    def __call__(self, chunk: Chunk) -> Result:
        """Annotate the rows of a chunk.

        Raises:
            InputError: if there is no such checkpoint, or rows do not fit the format of the output.
        """
        kind = _kind(chunk.file)[0]
        rows, rejects = _parse_table(chunk) if kind == ".parquet" else _parse_lines(chunk, kind)
        texts = rows["text"].to_pylist() if isinstance(rows, pa.Table) else [row["text"] for row in rows]
        columns = self._columns(texts)
        try:
            part = (_table_part if self.parquet else _json_part)(rows, columns)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            other = ".jsonl" if self.parquet else ".parquet"
            where = f"{chunk.file}, from row {chunk.first} on"
            raise InputError(f"{where}: {_reason(error)}: it cannot be written so, but to {other}") from None
        lines = "".join(json_line({"file": chunk.file, **reject}, default=str) for reject in rejects)
        counts = len(texts), len(rejects), sum(map(len, texts))
        return Result(chunk.digest, chunk.size, *counts, part, lines.encode())

    def _columns(self, texts: list[str]) -> dict[str, list[list[str | None]]]:
        columns: dict[str, list[list[str | None]]] = {"pinyin": []}
        if self.settings.sandhi:
            columns["sandhi"] = []
        if not texts:
            return columns
        for text, found in zip(
            texts, self._pipe.probabilities(texts, batch_size=self.settings.batch_size), strict=True
        ):
            best = list(map(best_reading, found))
            sure = [best_reading(reading, self.settings.min_score) for reading in found]
            values = {"pinyin": best}
            if self.settings.sandhi:
                values["sandhi"] = spoken(to_simplified(text), best)
            for name, value in values.items():
                columns[name].append(
                    [
                        s and to_style(s, self.settings.style) if kept else None
                        for s, kept in zip(value, sure, strict=True)
                    ]
                )
        return columns


def _parse_lines(chunk: Chunk, kind: str) -> tuple[list[dict], list[dict]]:
    rows, rejects = [], []
    for number, raw in enumerate(io.BytesIO(chunk.data), chunk.first):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            if kind != ".jsonl":
                rows.append({"text": line})
                continue
            if not line.strip():
                continue
            row = json.loads(line)
            if isinstance(row, dict) and isinstance(row.get("text"), str):
                rows.append(row)
                continue
            reason = "not an object with a string 'text'"
        except UnicodeDecodeError as error:
            reason = f"not UTF-8 ({error.reason})"
        except (ValueError, RecursionError) as error:
            reason = f"not JSON: {error}"
        shown = raw.rstrip(b"\r\n").decode("utf-8", "backslashreplace")
        rejects.append({"line": number, "reason": reason, "raw": shown})
    return rows, rejects


def _parse_table(chunk: Chunk) -> tuple[pa.Table, list[dict]]:
    table = _from_stream(chunk.data)
    column = table["text"]
    column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    good, rejects = [], []
    # As bytes, because no writer of parquet has to check that strings are UTF-8.
    for at, raw in enumerate(column.cast(pa.large_binary()).to_pylist()):
        try:
            raw.decode()
            good.append(at)
            continue
        except AttributeError:
            reason, shown = "text is null", None
        except UnicodeDecodeError as error:
            reason, shown = f"not UTF-8 ({error.reason})", raw.decode("utf-8", "backslashreplace")
        others = {}
        if table.num_columns > 1:
            with suppress(UnicodeDecodeError):  # in another column
                [others] = table.slice(at, 1).drop_columns("text").to_pylist()
        rejects.append({"row": chunk.first + at, "reason": reason, "raw": {**others, "text": shown}})
    return table.take(good) if rejects else table, rejects


def _json_part(rows: pa.Table | list[dict], columns: dict[str, list]) -> bytes:
    rows = rows.to_pylist() if isinstance(rows, pa.Table) else rows
    added = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    lines = (json_line({**row, **new}, default=_plain) for row, new in zip(rows, added, strict=True))
    return "".join(lines).encode()


def _plain(value: Any) -> str:
    """Return a value of a table that JSON has no form for, if people agree on one."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"JSON has no {type(value).__name__}")


def _table_part(rows: pa.Table | list[dict], columns: dict[str, list]) -> bytes:
    if not isinstance(rows, pa.Table):
        names = dict.fromkeys(name for row in rows for name in row) or ["text"]
        rows = pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    for name, values in columns.items():
        column = pa.array(values, pa.list_(pa.string()))
        at = rows.schema.get_field_index(name)
        rows = rows.append_column(name, column) if at < 0 else rows.set_column(at, name, column)
    return _to_stream(rows.replace_schema_metadata(None))  # the metadata describe the columns of the input


def _to_stream(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(table)
    return buffer.getvalue()


def _from_stream(data: bytes | pa.Buffer) -> pa.Table:
    with pa.ipc.open_stream(data) as stream:
        return stream.read_all()


class _Store:
    """The work done so far: the folder ``OUTPUT.parts`` with the options, the rows, the rejects and the journal.

    The journal has a line for each chunk in the files: its digest, its rows and rejects, and their bytes.
    """

    NAMES = ("rows", "rejected", "journal")

    def __init__(self, output: str, manifest: dict[str, Any]):
        self.output, self.manifest = output, manifest
        self.target = Path(output).resolve()  # behind a link, the file is replaced and the link stays
        self.rejects = self.target.with_name(f"{self.target.name}.rejected.jsonl")
        self.folder = self.target.with_name(f"{self.target.name}.parts")
        self.parquet = _kind(output)[0] == ".parquet"
        self.schema = pa.schema([])
        self.chunks = self.rows = self.rejected = 0
        self._lock = FileLock(self.folder / "lock")
        self._files: dict[str, BinaryIO] = {}

    def __enter__(self) -> "_Store":
        if self.target.exists() and not self.target.is_file():
            raise InputError(f"cannot write {self.output}: it is there and no ordinary file: give another name")
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"another run is writing {self.output}: let it end first") from None
        except OSError as error:
            raise InputError(f"cannot write {self.output}: {_reason(error)}") from None
        try:
            self._open()
        except BaseException as error:
            self.__exit__(type(error))
            if isinstance(error, OSError):
                raise InputError(f"cannot write {self.output}: {_reason(error)}") from None
            raise
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        for file in self._files.values():
            with suppress(OSError):  # what could not be written has been reported
                file.close()
        over = kind is None or not self._worked
        if over:
            for name in ("journal", "manifest.json", "rows", "rejected", "output"):  # the journal first
                self._path(name).unlink(missing_ok=True)
        self._lock.release()
        if over:
            with suppress(OSError):  # something else is in it
                self._path("lock").unlink(missing_ok=True)
                self.folder.rmdir()

    def _path(self, name: str) -> Path:
        return self.folder / name

    def _open(self) -> None:
        wanted = json.loads(json.dumps(self.manifest))
        if self._worked:
            found = json.loads(self._path("manifest.json").read_text("utf-8"))
            other = [name for name in wanted if found.get(name) != wanted[name]]
            if other:
                raise InputError(
                    f"{self.folder} has the rows of an unfinished run that differs in {', '.join(other)}: "
                    "go on with the options it had, or delete the folder"
                )
        else:
            for name in self.NAMES:
                self._path(name).write_bytes(b"")
            with atomic_write(self._path("manifest.json")) as file:
                json.dump(wanted, file)
        ends = {"rows": 0, "rejected": 0, "journal": 0}
        for line, (_, rows, rejected, *written) in self._journal():
            self.chunks, self.rows, self.rejected = self.chunks + 1, self.rows + rows, self.rejected + rejected
            for name, size in zip(self.NAMES, (*written, len(line)), strict=True):
                ends[name] += size
        if self._complete:
            return
        for name, end in ends.items():
            if self._path(name).stat().st_size < end:
                raise InputError(f"{self.folder} is damaged: delete it to start again")
            self._files[name] = open(self._path(name), "r+b")
            self._files[name].truncate(end)
            self._files[name].seek(end)
        if self.parquet and self.chunks:
            for part in self._parts():
                self._fit(part)

    @property
    def _worked(self) -> bool:
        """Whether the folder has work to go on with."""
        return self._path("journal").exists() and self._path("journal").stat().st_size > 0

    @property
    def _complete(self) -> bool:
        """Whether the output has its name already, and the run was killed while tidying up."""
        return not self._path("rows").exists()

    def _journal(self) -> Iterator[tuple[bytes, list]]:
        with open(self._path("journal"), "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line, json.loads(line)

    def _parts(self) -> Iterator[pa.Buffer]:
        with pa.memory_map(str(self._path("rows"))) as file:
            for _, (*_, size, _) in self._journal():
                yield file.read_buffer(size)

    def _fit(self, part: bytes | pa.Buffer) -> None:
        """Widen the columns of the output to those of a part."""
        with pa.ipc.open_stream(part) as stream:
            schema = stream.schema
        try:
            self.schema = pa.unify_schemas([self.schema, schema], promote_options="permissive")
        except pa.ArrowException as error:
            raise InputError(f"rows do not fit one table: {_reason(error)}: write .jsonl instead") from None

    def verify(self, chunks: Iterator[Chunk]) -> int:
        """Skip the chunks that are done and return their size in bytes of the input.

        Raises:
            InputError: if the input is no longer what it was.
        """
        size = 0
        digests = (digest for _, (digest, *_) in self._journal())
        # None is the end, after which a finished run has nothing more to read.
        for digest in itertools.chain(digests, [None] * self._complete):
            chunk = next(chunks, None)
            if (chunk and chunk.digest) != digest:
                where = f"{chunk.file} from row {chunk.first} on" if chunk else "it is shorter"
                raise InputError(
                    f"the input has changed ({where}) since the run that {self.folder} is of: "
                    "delete the folder to start again"
                )
            size += chunk.size if chunk else 0
        return size

    def append(self, result: Result) -> None:
        """Keep a result for good."""
        if self.parquet:
            self._fit(result.part)
        for name, data in (("rows", result.part), ("rejected", result.rejects)):
            if data:
                self._files[name].write(data)
                self._files[name].flush()
                os.fsync(self._files[name].fileno())
        entry = [result.digest, result.rows, result.rejected, len(result.part), len(result.rejects)]
        self._files["journal"].write(json.dumps(entry).encode() + b"\n")
        self._files["journal"].flush()
        self.chunks += 1
        self.rows += result.rows
        self.rejected += result.rejected

    def interrupted(self, message: str) -> InputError:
        """Return the error that ends the run, with what is left to do."""
        if self.chunks:
            message += f"; {self.rows:,} rows are kept in {self.folder}, and the same command goes on from there"
        return InputError(message)

    def finish(self) -> Summary:
        """Give the output and the rejects their names."""
        if not self._complete:
            for file in self._files.values():
                file.close()
            output, rows = self._path("output"), self._path("rows")
            self.rejects.unlink(missing_ok=True)  # those of an earlier output
            if self.rejected:
                shutil.copyfile(self._path("rejected"), output)
                os.replace(output, self.rejects)
            compression = _kind(self.output)[1]
            if self.parquet:
                self._write_parquet(output)
            elif compression:
                with (
                    open(rows, "rb") as source,
                    open(output, "wb") as raw,
                    COMPRESSION[compression](raw, "wb") as sink,
                ):
                    shutil.copyfileobj(source, sink, BYTES)
            else:
                output = rows
            with open(output, "r+b") as file:
                os.fsync(file.fileno())  # on the disk before what it was made of is deleted
            os.replace(output, self.target)
            rows.unlink(missing_ok=True)
        return Summary(self.rows, self.rejected, self.rejects)

    def _write_parquet(self, path: Path) -> None:
        schema = self.schema if self.chunks else _from_stream(_table_part([], {"pinyin": []})).schema
        parts = self._parts() if self.chunks else iter(())
        with pq.ParquetWriter(path, schema) as writer:
            while group := list(itertools.islice(parts, 64)):  # few chunks are worth a row group of their own
                tables = [schema.empty_table(), *map(_from_stream, group)]
                writer.write_table(pa.concat_tables(tables, promote_options="permissive"))


def _in_processes(chunks: Iterator[Chunk], annotator: Annotator, num_workers: int) -> Iterator[Result]:
    """Annotate chunks in this process or several, and yield the results in order."""
    head = list(itertools.islice(chunks, num_workers))
    chunks = itertools.chain(head, chunks)
    if len(head) < 2:  # not worth the start of another process
        yield from map(annotator, chunks)
        return
    # Not forked, because torch and ONNX Runtime have threads.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(len(head), spawn, initializer=_start_worker, initargs=(annotator,))
    try:
        yield from bounded_map(pool, _work, chunks, 2 * len(head))
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(annotator: Annotator) -> None:
    global _annotator
    _annotator = annotator
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, if it is
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that writes ends the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it was killed, which a pool does not see to."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _work(chunk: Chunk) -> Result:
    return _annotator(chunk)


def _on_ray(
    files: list[str], skip: int, annotator: Annotator, num_workers: int | None, address: str | None
) -> Iterator[Result]:
    """Annotate chunks on a Ray cluster and yield the results in order.

    The files are read on this machine. Other machines need this package, the checkpoint, and nothing else.
    """
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext, Datasource, ReadTask, read_datasource
        from ray.data.block import BlockMetadata
    except ImportError as error:
        raise InputError(f"--engine ray needs {error.name}: pip install 'h2p-hf[ray]'") from None

    folder = os.getcwd()

    # Values go as pickles and errors as values, so that what comes before an error arrives.
    def block(value: Chunk | Result | InputError) -> pa.Table:
        return pa.table({"value": [pickle.dumps(value)]})

    class Chunks(Datasource):
        def get_read_tasks(self, *_, **__) -> list[ReadTask]:
            def blocks() -> Iterator[pa.Table]:
                os.chdir(folder)  # names may be relative
                try:
                    yield from map(block, itertools.islice(read(files), skip, None))
                except InputError as error:
                    yield block(error)

            unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(blocks, unknown)]

        def estimate_inmemory_data_size(self) -> None:
            return None

    class Actor:
        def __init__(self, annotator: Annotator):
            self.annotator = annotator

        def __call__(self, batch: pa.Table) -> pa.Table:
            value = pickle.loads(batch["value"][0].as_py())
            try:
                return block(self.annotator(value) if isinstance(value, Chunk) else value)
            except InputError as error:
                return block(error)

    started = not ray.is_initialized()
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # an error is raised anyway
    try:
        if started:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # a class of its own for each kind of failure
        raise InputError(f"cannot start or reach a Ray cluster: {_reason(error)}") from None
    try:
        context = DataContext.get_current().copy()
        context.execution_options.preserve_order = True
        context.target_max_block_size = 1  # a chunk is a block, and is written as soon as it is there
        context.enable_progress_bars = context.print_on_execution_start = False
        unit = "GPU" if (annotator.settings.device or "cpu") != "cpu" else "CPU"
        size = num_workers or max(1, int(ray.cluster_resources().get(unit, 1)))
        with DataContext.current(context):
            here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
            rows = read_datasource(Chunks(), override_num_blocks=1, num_cpus=0, label_selector=here).map_batches(
                Actor,
                batch_size=1,
                batch_format="pyarrow",
                fn_constructor_args=(annotator,),
                compute=ActorPoolStrategy(size=size),
                **{"num_gpus" if unit == "GPU" else "num_cpus": 1},
            )
        for row in rows.iter_rows():
            value = pickle.loads(row["value"])
            if isinstance(value, InputError):
                raise value
            yield value
    except ray.exceptions.RayError as error:
        raise InputError(f"Ray: {_reason(error)}") from None
    finally:
        if started:
            ray.shutdown()


def _settled(settings: Settings) -> Settings:
    """Return settings that mean the same in each worker and when the run goes on: a whole path, a commit, a backend."""
    name = settings.model or bundled_checkpoint()
    folder = Path(name).expanduser()
    if folder.is_dir():
        settings = replace(settings, model=settings.model and str(folder.resolve()))
    elif config := checkpoint_file(name, "config.json", settings.revision):
        settings = replace(settings, revision=config.parent.name)  # the cache has a folder for each commit
    if settings.backend is None:
        in_torch = settings.device is not None or runs_in_torch(settings.model, settings.revision)
        settings = replace(settings, backend="torch" if in_torch else "onnx-int8")
    return settings


def _cores(settings: Settings) -> int:
    """Return how many processes to start: several would only share a GPU."""
    if settings.device not in (None, "cpu"):
        return 1
    if settings.device is None and settings.backend == "torch":
        import torch

        if torch.accelerator.is_available():
            return 1
    return cores()


def _find(inputs: Iterable[str], output: str) -> list[str]:
    target = Path(output).resolve()
    files = []
    for path in map(Path, inputs):
        if path.is_dir():
            if path.resolve() in target.parents:
                raise InputError(f"{output} is in the folder {path} that is read: give another output")
            found = sorted(p for p in path.rglob("*") if p.is_file() and _kind(p, None)[0])
            if not found:
                raise InputError(f"no {', '.join(KINDS)} files in {path}")
            files.extend(map(str, found))
        elif path.resolve() == target:
            raise InputError("input and output are the same file: give another output")
        else:
            files.append(str(path))
    for file in files:
        try:
            os.stat(file)
        except OSError as error:
            raise InputError(f"cannot read {file}: {_reason(error)}") from None
    return files


def _kind(path: str | Path, default: str | None = ".txt") -> tuple[str | None, str | None]:
    """Return what a file is by its name, a member of `KINDS`, and how it is compressed, a key of `COMPRESSION` or None."""
    suffixes = Path(path).suffixes
    compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSION else None
    kind = suffixes[-1] if suffixes and suffixes[-1] in KINDS else default
    return kind, compression


def _reason(error: BaseException) -> str:
    """Return an error as one short line."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())[:200] or type(error).__name__
