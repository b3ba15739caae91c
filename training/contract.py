"""The prompt contract: the very text that the gateway renders, and how it becomes tokens.

    system     task.prompt, a blank line, "Answer with one of these labels:", one line a label
    user       the document
    assistant  the label's name, then <|end|>

The tokenizer is byte-level BPE with the pre-tokenizer that GGUF readers know as `llama-bpe`.
"""

import os
import pathlib
import tomllib

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

TASKS_FILE = pathlib.Path(__file__).parent.parent / "crates/gateway/demo/tiergate.toml"

BEGIN, SYSTEM, USER, ASSISTANT, END = "<|begin|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIALS = [BEGIN, SYSTEM, USER, ASSISTANT, END]

CHAT_TEMPLATE = (
    "{{ '<|begin|>' }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] | trim + '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)

LLAMA_BPE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tasks() -> dict:
    """The demo's tasks by name, as they stand in its config."""
    return tomllib.loads(TASKS_FILE.read_text())["tasks"]


def system_content(task: dict) -> str:
    """The system message of a task."""
    lines = [f"- {label['name']}: {label['definition']}" for label in task["labels"]]
    return task["prompt"] + "\n\nAnswer with one of these labels:\n" + "\n".join(lines)


def before_document(task: dict) -> str:
    """The rendered prompt up to the document."""
    return f"{BEGIN}{SYSTEM}\n{system_content(task)}{END}\n{USER}\n"


# The rendered prompt between the document and the label.
AFTER_DOCUMENT = f"{END}\n{ASSISTANT}\n"


def byte_level(bpe: models.BPE) -> Tokenizer:
    """A tokenizer that cuts text as `llama-bpe` does and applies `bpe` to the bytes of each piece."""
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA_BPE), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def stored_tokenizer(tokens: list, merges: list) -> Tokenizer:
    """The tokenizer of a model file, from its list of tokens and its merges ("a b")."""
    vocabulary = {token: at for at, token in enumerate(tokens)}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = byte_level(models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=True))
    tokenizer.add_special_tokens(SPECIALS)
    return tokenizer


def train_tokenizer(texts: list, vocabulary: int) -> Tokenizer:
    """A byte-level BPE tokenizer of `vocabulary` tokens, learned from documents and prompts."""
    tokenizer = byte_level(models.BPE(ignore_merges=True))
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIALS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # Often enough that every label's name, which begins a line, becomes one token.
    names = [f"{label['name']}\n" for task in tasks().values() for label in task["labels"]]
    prompts = [system_content(task) for task in tasks().values()]
    tokenizer.train_from_iterator(texts + (names + prompts) * 200, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, text: str) -> list:
    """The token ids of a text; the five special tokens are read as such."""
    return tokenizer.encode(text, add_special_tokens=False).ids


def label_ids(tokenizer: Tokenizer, task: dict) -> list:
    """The one token of each label, in the task's order."""
    ids = [encode(tokenizer, label["name"]) for label in task["labels"]]
    assert all(len(each) == 1 for each in ids), f"a label of more than one token: {ids}"
    return [each[0] for each in ids]
