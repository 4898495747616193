"""The ``h2p`` command."""

import argparse
import heapq
import itertools
import os
import sys
from collections.abc import Iterator

from . import __version__
from .errors import InputError
from .files import json_line
from .pinyin import STYLES

FORMATS = ("text", "words", "ruby", "ssml", "json")
BACKENDS = ("torch", "onnx", "onnx-int8")
ENGINES = ("azure", "google", "polly", "aliyun")
WORKERS = ("local", "ray")


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser, which does not need torch: ``h2p --help`` is quick."""
    parser = argparse.ArgumentParser(prog="h2p", description="Hanzi to pinyin, polyphones read from context.")
    parser.add_argument("--version", action="version", version=f"h2p-hf {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument("--model", help="checkpoint folder or Hub id (default: the bundled checkpoint)")
    model.add_argument("--revision", help="branch, tag or commit on the Hub")
    model.add_argument("--device", help="run the PyTorch model there, such as cpu or cuda:0")
    model.add_argument("--backend", choices=BACKENDS, help="what runs the model (default: onnx-int8 if it is there)")
    common = argparse.ArgumentParser(add_help=False, parents=[model])
    common.add_argument("--dictionary", metavar="FILE", help="user dictionary: phrase TAB readings, one entry a line")
    common.add_argument(
        "--style",
        choices=STYLES,
        metavar="STYLE",
        help=f"how to write pinyin: {', '.join(STYLES)} (default: tone to convert, tone3 to annotate)",
    )
    common.add_argument("--names", action="store_true", help="read surnames and places as such: 单老师, 查良镛, 六安")
    common.add_argument("--full_tones", action="store_true", help="no lexical neutral tones: 衣服 yī fú")
    common.add_argument("--sandhi", action="store_true", help="tones as spoken: 你好 ní hǎo, 一个 yí gè")
    common.add_argument(
        "--min_score", type=float, default=0.0, metavar="P", help="no pinyin where the model is less sure, 0-1"
    )

    convert = commands.add_parser("convert", parents=[common], help="convert text, or the lines of standard input")
    convert.add_argument("text", nargs="*", help="texts to convert; without any, standard input line by line")
    convert.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="text: pinyin only; words: pinyin after each word; ruby: HTML; ssml: for speech engines; "
        "json: one object a line, with offsets and candidates",
    )
    convert.add_argument("--engine", choices=ENGINES, default="azure", help="speech engine of --format ssml")
    convert.add_argument("--every_word", action="store_true", help="ssml: not only words that could be read otherwise")
    convert.add_argument(
        "--inline", action="store_true", help="readings in the text count: 长[chang2]江, \\[ is a bracket"
    )
    convert.add_argument("--merge_erhua", action="store_true", help="点儿 diǎnr instead of diǎn r")
    convert.add_argument("--rare_readings", action="store_true", help="json: candidates that hardly anybody uses, too")
    convert.add_argument(
        "--review",
        type=int,
        metavar="N",
        help="list the N least certain characters instead: line, offset, probability, context, candidates",
    )
    convert.set_defaults(run=run_convert)

    annotate = commands.add_parser(
        "annotate",
        parents=[common],
        help="add pinyin to files of any size; after an interruption the same command goes on",
    )
    annotate.add_argument(
        "input",
        nargs="+",
        help=".jsonl or .parquet with 'text' in each row, text files (all but parquet also .gz, .bz2, .xz, .zst), or folders",
    )
    annotate.add_argument(
        "output",
        help=".parquet, or JSON lines (also .gz, .bz2, .xz, .zst): the rows with 'pinyin', a list as long as the text; "
        "malformed rows go to OUTPUT.rejected.jsonl",
    )
    annotate.add_argument("--batch_size", type=int, default=32, help="sentences a forward pass (default: 32)")
    annotate.add_argument(
        "--num_workers", type=int, metavar="N", help="processes (default: one a core; one for a GPU)"
    )
    annotate.add_argument("--engine", choices=WORKERS, default="local", help="what runs the workers (default: local)")
    annotate.add_argument(
        "--ray_address", metavar="ADDRESS", help="--engine ray: the cluster (default: RAY_ADDRESS, or a new one here)"
    )
    annotate.set_defaults(run=run_annotate)

    demo = commands.add_parser("demo", parents=[model], help="serve a page to try it in a browser")
    demo.add_argument(
        "--host", default="127.0.0.1", help="address to serve on (default: 127.0.0.1, this machine only)"
    )
    demo.add_argument("--port", type=int, default=7860, help="port to serve on (default: 7860)")
    demo.set_defaults(run=run_demo)

    card = argparse.ArgumentParser(add_help=False)
    card.add_argument("--notes", metavar="FILE", help="Markdown to put at the end of the model card")
    card.add_argument("--license", metavar="ID", help="licence in the model card, such as apache-2.0")
    push = commands.add_parser("push", parents=[card], help="publish a checkpoint on the Hugging Face Hub")
    push.add_argument("folder", help="checkpoint folder, or bundled")
    push.add_argument("repo", help="USER/NAME; made if it is not there")
    push.add_argument("--revision", help="branch; made if it is not there")
    push.add_argument("--private", action="store_true", default=None, help="a new repository is for you only")
    push.add_argument("--message", default="Upload checkpoint", help="of the commit")
    push.set_defaults(run=run_push)

    pull = commands.add_parser("pull", help="download a checkpoint from the Hugging Face Hub")
    pull.add_argument("repo", help="USER/NAME")
    pull.add_argument("folder", help="new folder")
    pull.add_argument("--revision", help="branch, tag or commit")
    pull.set_defaults(run=run_pull)

    show = commands.add_parser("card", parents=[card], help="print the model card that push would publish")
    show.add_argument("folder", help="checkpoint folder, or bundled")
    show.add_argument("--name", help="of the model (default: the name of the folder)")
    show.set_defaults(run=run_card)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command. Bad input prints one line and returns 2."""
    args = build_parser().parse_args(argv)
    try:
        return args.run(args)
    except InputError as error:
        print(f"h2p: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        if error.args:
            print(f"h2p: {error}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run_convert(args: argparse.Namespace) -> int:
    """Write each text with its pinyin, or the characters of all of them that are least certain."""
    if args.format == "ssml" and args.style not in (None, "tone3"):
        raise InputError("speech engines know tone3 only: leave out --style")
    if args.review is not None and args.review < 1:
        raise InputError(f"--review must be at least 1, got {args.review}")
    output = {"sandhi": args.sandhi, "merge_erhua": args.merge_erhua, "rare_readings": args.rare_readings}
    style = args.style or ("tone3" if args.format == "ssml" else "tone")
    pipe = _pipeline(args, **_decoding(args), style=style, **output)
    from . import rendering
    from .inline import InlineText

    writers = {
        "text": rendering.plain,
        "words": rendering.after_words,
        "ruby": rendering.ruby,
        "ssml": lambda text, items: rendering.ssml(text, items, args.engine, args.every_word),
        "json": lambda text, items: json_line(_in_source(text, items)).removesuffix("\n"),
    }
    texts = iter(args.text) if args.text else _standard_input()
    if args.inline:
        texts = map(InlineText, texts)
    # One by one, so that an answer comes as soon as its line is there.
    results = ((text, pipe(text)) for text in texts)
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # bytes of the command line go out as they came
    if args.review:
        lines = map(str, heapq.nsmallest(args.review, rendering.doubts(results)))
    else:
        lines = itertools.starmap(writers[args.format], results)
    for line in lines:
        print(line, flush=True)
    return 0


def run_annotate(args: argparse.Namespace) -> int:
    """Annotate files, and say in one line what came of it."""
    from . import corpus
    from .lexicon import UserDictionary

    settings = corpus.Settings(
        model=args.model,
        revision=args.revision,
        device=args.device,
        backend=args.backend,
        dictionary=UserDictionary.load(args.dictionary) if args.dictionary else None,
        names=args.names,
        neutral_tone=not args.full_tones,
        min_score=args.min_score,
        style=args.style or "tone3",
        sandhi=args.sandhi,
        batch_size=args.batch_size,
    )
    done = corpus.annotate(args.input, args.output, settings, args.num_workers, args.engine, args.ray_address)
    rejected = f", {done.rejected:,} rejected, see {done.rejects}" if done.rejected else ""
    print(f"h2p: {done.rows:,} rows written to {args.output}{rejected}", file=sys.stderr)
    return 0


def run_demo(args: argparse.Namespace) -> int:
    """Serve the page until it is interrupted."""
    from .demo import launch

    launch(_pipeline(args), args.host, args.port)
    return 0


def run_push(args: argparse.Namespace) -> int:
    """Publish a checkpoint and print the address."""
    from . import hub

    url = hub.push(args.folder, args.repo, args.revision, args.private, args.message, args.notes, args.license)
    print(url)
    return 0


def run_pull(args: argparse.Namespace) -> int:
    """Download a checkpoint."""
    from . import hub

    hub.pull(args.repo, args.folder, args.revision)
    print(f"h2p: {args.repo} is in {args.folder}", file=sys.stderr)
    return 0


def run_card(args: argparse.Namespace) -> int:
    """Print a model card."""
    from . import hub

    print(hub.model_card(args.folder, args.name, args.notes, args.license), end="")
    return 0


def _decoding(args: argparse.Namespace) -> dict:
    return {
        "dictionary": args.dictionary,
        "names": args.names,
        "neutral_tone": not args.full_tones,
        "min_score": args.min_score,
    }


def _pipeline(args: argparse.Namespace, **kwargs):
    from .auto import pipeline  # what --help and a mistyped option need not wait for

    return pipeline(args.model, args.revision, args.device, args.backend, **kwargs)


def _in_source(text: str, items: list[dict]) -> dict:
    """Return a row of JSON; under --inline the offsets are those of the text with its brackets."""
    source, offsets = getattr(text, "source", text), getattr(text, "offsets", None)
    if offsets:
        items = [{**i, "start": offsets[i["start"]], "end": offsets[i["end"] - 1] + 1} for i in items]
    return {"text": source, "pinyin": items}


def _standard_input() -> Iterator[str]:
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"standard input, line {number}: not UTF-8 ({error.reason}): convert it") from None


if __name__ == "__main__":
    sys.exit(main())
