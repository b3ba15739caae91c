"""Write generated documents as JSON lines.

    python training/generate.py --seed 7 --count 2000 --split demo -o documents.jsonl.gz

Each line: id, text, form, classify, flag, ambiguous. The same arguments give the same lines.
"""

import argparse
import gzip
import json
import pathlib

from documents import documents
from splits import MIXES, Split

FIELDS = ("id", "text", "form", "classify", "flag", "ambiguous")


def lines(split: Split) -> bytes:
    """The documents of a split as JSON lines, in UTF-8."""
    records = ({name: document[name] for name in FIELDS} for document in documents(split))
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def main() -> None:
    """Read the arguments, write the file."""
    parser = argparse.ArgumentParser(description="Write generated financial documents as JSON lines.")
    parser.add_argument("--seed", type=int, required=True, help="splits differ by seed and by name")
    parser.add_argument("--count", type=int, required=True, help="documents to write")
    parser.add_argument("--split", required=True, help="name of the split; it begins each id (demo: doc)")
    parser.add_argument("--mix", choices=MIXES, default="usual", help="hard: what the Llama learns from")
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True, help="F.jsonl or F.jsonl.gz")
    arguments = parser.parse_args()
    split = Split(arguments.split, arguments.seed, arguments.count, MIXES[arguments.mix])
    written = lines(split)
    if arguments.output.suffix == ".gz":
        # No time and no name in the header, so that the same documents give the same file.
        written = gzip.compress(written, compresslevel=9, mtime=0)
    arguments.output.write_bytes(written)


if __name__ == "__main__":
    main()
