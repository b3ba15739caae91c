"""The engine's Llama 3 tokenizer beside tiktoken, over generated text of many kinds.

usage: python3 bench/engine_tokenizer.py TIERGATE MODEL.gguf llama3-tokenizer.model [MEGABYTES]

MODEL.gguf has the vocabulary of the second file, which has tiktoken's ranks. Prints how many
texts and bytes were compared, and every difference. Needs tiktoken.
"""

import base64
import json
import random
import subprocess
import sys
import unicodedata

import tiktoken

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SCRIPTS = [
    (0x20, 0x7F), (0xA0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x531, 0x58A), (0x5D0, 0x5EA),
    (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x10A0, 0x10FF), (0x1100, 0x11FF),
    (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF),
    (0x2000, 0x206F), (0x2190, 0x23FF), (0xFE00, 0xFE0F), (0x0, 0x1F), (0x7F, 0xA0),
]
WORDS = (
    "the of and I'm we'll they'd It's don't DON'T return self.value = None if x == 0: "
    "for (int i = 0; i < n; i++) { std::vector<int> } <|eot_id|> <|begin_of_text|> http://a.b/c?d=e "
    "naïve café Übergröße 北京 東京都 안녕하세요 Привет мир مرحبا בעולם नमस्ते สวัสดี 🏦 👩‍👩‍👧‍👦 🇩🇪 "
    "1234567 3.14159 1,000,000.00 ½ Ⅷ ٣ 0x1F ..... ---- ''' \"\"\" \\n // # @ $ % ^ & * ~ `"
).split(" ")
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u2003", "\u3000", " \t\r\n", "", "", ""]


def text(generator):
    parts = []
    for _ in range(generator.randrange(1, 400)):
        kind = generator.random()
        if kind < 0.6:
            part = generator.choice(WORDS)
        elif kind < 0.9:
            first, last = generator.choice(SCRIPTS)
            part = "".join(
                chr(generator.randint(first, last)) for _ in range(generator.randrange(1, 9))
            )
        else:
            part = generator.choice(" \n\t.,'aA1é") * generator.randrange(1, 90)
        parts.append(part)
        parts.append(generator.choice(SPACES))
    joined = "".join(parts)
    if generator.random() < 0.2:
        joined = unicodedata.normalize("NFD", joined)
    return joined


def main():
    tiergate, model, ranks_file = sys.argv[1:4]
    bytes_wanted = float(sys.argv[4] if len(sys.argv) > 4 else 6) * 1e6
    with open(ranks_file, "rb") as lines:
        pairs = (line.split() for line in lines)
        ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    reference = tiktoken.Encoding("llama3", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    generator = random.Random(1)
    texts, total = [], 0
    while total < bytes_wanted:
        texts.append(text(generator))
        total += len(texts[-1].encode())
    lines = "".join(json.dumps(one) + "\n" for one in texts)
    command = [tiergate, "model", "tokenize", "--lines", "--model", model]
    found = subprocess.run(command, input=lines.encode(), check=True, capture_output=True).stdout
    different = 0
    for one, line in zip(texts, found.decode().splitlines(), strict=True):
        if json.loads(line) != reference.encode_ordinary(one):
            different += 1
            print(f"differs: {one!r}"[:400])
    print(f"{len(texts)} texts of {total} bytes, {different} differ")
    sys.exit(different > 0)


main()
