"""The ``h2p`` command."""

import argparse
import os
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from . import __version__
from .errors import InputError
from .files import atomic_write, json_line
from .pinyin import STYLES
from .text import read_json_lines, read_lines


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser, which does not need torch: ``h2p --help`` is quick."""
    parser = argparse.ArgumentParser(prog="h2p", description="Hanzi to pinyin, polyphones read from context.")
    parser.add_argument("--version", action="version", version=f"h2p-hf {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--model", help="checkpoint folder or Hub id (default: the bundled checkpoint)")
    common.add_argument("--revision", help="branch, tag or commit on the Hub")
    common.add_argument("--dictionary", metavar="FILE", help="user dictionary: phrase TAB readings, one entry a line")
    common.add_argument(
        "--style",
        choices=STYLES,
        metavar="STYLE",
        help=f"how to write pinyin: {', '.join(STYLES)} (default: tone to convert, tone3 to annotate)",
    )
    common.add_argument("--device", help="such as cpu or cuda:0 (default: the first GPU, or else the CPU)")

    convert = commands.add_parser("convert", parents=[common], help="convert text, or the lines of standard input")
    convert.add_argument("text", nargs="*", help="texts to convert; without any, standard input line by line")
    convert.add_argument("--format", choices=("text", "json"), default="text", help="json: one object a line")
    convert.set_defaults(run=run_convert)

    annotate = commands.add_parser("annotate", parents=[common], help="add pinyin to a file, one row a line")
    annotate.add_argument("input", help=".jsonl with the key 'text' in each row, or a text file")
    annotate.add_argument("output", help="JSON lines: the rows with 'pinyin', a list as long as the text")
    annotate.add_argument("--batch_size", type=int, default=32, help="sentences a forward pass (default: 32)")
    annotate.set_defaults(run=run_annotate)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command. Bad input prints one line and returns 2."""
    args = build_parser().parse_args(argv)
    try:
        return args.run(args)
    except InputError as error:
        print(f"h2p: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run_convert(args: argparse.Namespace) -> int:
    """Write a line of pinyin (or JSON) for each text."""
    pipe = _pipeline(args, "tone")
    texts = iter(args.text) if args.text else _standard_input()
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # bytes of the command line go out as they came
    for text in texts:  # one by one, so that an answer comes as soon as its line is there
        items = pipe(text)
        if args.format == "json":
            print(json_line({"text": text, "pinyin": items}), end="", flush=True)
        else:
            print(_plain(text, items), flush=True)
    return 0


def run_annotate(args: argparse.Namespace) -> int:
    """Stream rows through the pipeline; the output takes its name only when all rows are in it."""
    from tqdm import tqdm

    if args.batch_size < 1:
        raise InputError(f"--batch_size must be at least 1, got {args.batch_size}")
    if Path(args.input).resolve() == Path(args.output).resolve():
        raise InputError("input and output are the same file: give another output")
    rows: deque[dict] = deque()

    def texts() -> Iterator[str]:
        for row in _rows(args.input):
            rows.append(row)
            yield row["text"]

    pipe = _pipeline(args, "tone3")
    with atomic_write(args.output) as file, tqdm(unit=" rows", disable=None) as bar:
        for pinyin in pipe.readings(texts(), batch_size=args.batch_size):
            file.write(json_line({**rows.popleft(), "pinyin": pinyin}))
            bar.update()
    return 0


def _pipeline(args: argparse.Namespace, default_style: str):
    import transformers  # seconds of imports, which --help and a mistyped option need not wait for

    from .pipelines import pipeline

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return pipeline(
        args.model, args.revision, args.device, dictionary=args.dictionary, style=args.style or default_style
    )


def _standard_input() -> Iterator[str]:
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            yield raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"standard input, line {number}: not UTF-8 ({error.reason}): convert it") from None


def _rows(path: str) -> Iterator[dict]:
    if not path.endswith(".jsonl"):
        yield from ({"text": line} for _, line in read_lines(path))
        return
    for where, row in read_json_lines(path):
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise InputError(f"{where}: each line must be an object with a string 'text'")
        yield row


def _plain(text: str, items: list[dict]) -> str:
    """Write pinyin with spaces between syllables; everything else stays as it is."""
    written, at = "", 0
    for item in items:
        between = text[at : item["start"]]
        if between:
            written += between
        elif written:
            written += " "
        written += item["pinyin"] or item["char"]
        at = item["end"]
    return written + text[at:]


if __name__ == "__main__":
    sys.exit(main())
