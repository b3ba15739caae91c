"""The model file: written with the `gguf` package, read back, and run once more in plain numpy.

`Readback` shares no code with model.py and takes everything from the file, so that an error in
shapes, names, metadata or quantisation shows as a difference from the training framework.
"""

import json

import gguf
import numpy as np

from contract import BEGIN, CHAT_TEMPLATE, END, SPECIALS
from model import Shape

LAYER_TENSORS = {
    "attention_norm": "attn_norm",
    "wq": "attn_q",
    "wk": "attn_k",
    "wv": "attn_v",
    "wo": "attn_output",
    "ffn_norm": "ffn_norm",
    "w_gate": "ffn_gate",
    "w_up": "ffn_up",
    "w_down": "ffn_down",
}


def tensors(weights: dict) -> dict:
    """The weights by their GGUF names."""
    named = {"token_embd.weight": weights["embedding"], "output_norm.weight": weights["norm"]}
    for at, layer in enumerate(weights["layers"]):
        for name, stored in LAYER_TENSORS.items():
            named[f"blk.{at}.{stored}.weight"] = layer[name]
    return {name: np.asarray(value, dtype=np.float32) for name, value in named.items()}


def from_tensors(named: dict, n_layers: int) -> dict:
    """The inverse of `tensors`."""
    layers = [
        {name: named[f"blk.{at}.{stored}.weight"] for name, stored in LAYER_TENSORS.items()}
        for at in range(n_layers)
    ]
    return {"embedding": named["token_embd.weight"], "norm": named["output_norm.weight"], "layers": layers}


def write(path, shape: Shape, weights: dict, tokenizer) -> None:
    """Write the model: matrices in Q8_0, norms in F32."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("Tiergate Starter")
    writer.add_description("Demonstration model of Tiergate: two tasks on generated documents; not for production.")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_vocab_size(shape.vocabulary)
    write_vocabulary(writer, tokenizer)
    for name, value in tensors(weights).items():
        if value.ndim == 1:
            writer.add_tensor(name, value)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_vocabulary(writer, tokenizer) -> None:
    """Add tokens, merges, special ids and the chat template."""
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    model = json.loads(tokenizer.to_str())["model"]
    types = [
        gguf.TokenType.CONTROL if token in SPECIALS else gguf.TokenType.NORMAL for token, _ in vocabulary
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(tokenizer.token_to_id(BEGIN))
    writer.add_eos_token_id(tokenizer.token_to_id(END))
    writer.add_eot_token_id(tokenizer.token_to_id(END))
    # The template writes <|begin|> itself.
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


class Readback:
    """A model file, dequantised."""

    def __init__(self, path):
        reader = gguf.GGUFReader(str(path))
        self.tensors = {
            tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            for tensor in reader.tensors
        }
        self._fields = {name: field.contents() for name, field in reader.fields.items()}

    def vocabulary(self) -> tuple[list, list]:
        """The tokens and the merges of the file."""
        return self._fields["tokenizer.ggml.tokens"], self._fields["tokenizer.ggml.merges"]

    def field(self, name: str):
        """A value of the file's metadata under `llama.`."""
        return self._fields[f"llama.{name}"]

    def logits(self, tokens: list) -> np.ndarray:
        """The logits (vocabulary) after the last token."""
        n_heads, n_kv = self.field("attention.head_count"), self.field("attention.head_count_kv")
        head_dim = self.field("rope.dimension_count")
        x = self.tensors["token_embd.weight"][tokens]
        turns = np.arange(len(tokens))[:, None] * self.field("rope.freq_base") ** (
            -np.arange(0, head_dim, 2) / head_dim
        )
        later = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
        for at in range(self.field("block_count")):
            layer = {name: self.tensors[f"blk.{at}.{name}.weight"] for name in LAYER_TENSORS.values()}
            normed = self._norm(x, layer["attn_norm"])
            q = self._turned((normed @ layer["attn_q"].T).reshape(len(tokens), n_heads, head_dim), turns)
            k = self._turned((normed @ layer["attn_k"].T).reshape(len(tokens), n_kv, head_dim), turns)
            v = (normed @ layer["attn_v"].T).reshape(len(tokens), n_kv, head_dim)
            heads = []
            for head in range(n_heads):
                shared = head * n_kv // n_heads
                scores = q[:, head] @ k[:, shared].T / np.sqrt(head_dim) + later
                scores = np.exp(scores - scores.max(axis=1, keepdims=True))
                heads.append(scores / scores.sum(axis=1, keepdims=True) @ v[:, shared])
            x = x + np.concatenate(heads, axis=1) @ layer["attn_output"].T
            normed = self._norm(x, layer["ffn_norm"])
            gate = normed @ layer["ffn_gate"].T
            x = x + (gate / (1 + np.exp(-gate)) * (normed @ layer["ffn_up"].T)) @ layer["ffn_down"].T
        return self._norm(x[-1], self.tensors["output_norm.weight"]) @ self.tensors["token_embd.weight"].T

    def _norm(self, x, weight):
        eps = self.field("attention.layer_norm_rms_epsilon")
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * weight

    @staticmethod
    def _turned(x, turns):
        pair = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * turns)[:, None, :]
        return np.stack([pair.real, pair.imag], axis=-1).reshape(x.shape)
