"""The Llama architecture in JAX: RMSNorm, interleaved RoPE, grouped-query attention, SwiGLU.

Weights are (out, in), as a GGUF file stores them, and bear the paper's names. The head is
tied to the embedding. All documents of a batch follow one prompt, whose keys and values are
computed once and shared, so that a batch costs little more than its documents.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Shape:
    """The sizes of a model."""

    vocabulary: int = 3072
    dim: int = 192
    n_layers: int = 4
    n_heads: int = 6
    n_kv_heads: int = 2
    ffn: int = 512
    context: int = 1024
    rope_base: float = 10000.0
    eps: float = 1e-5
    # How many classes each probe tells apart. The probes help to train; they are not in the file.
    probed: tuple = (("classify", 7), ("flag", 2), ("finding", 3), ("remark", 4))

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.dim // self.n_heads


def initial(shape: Shape, seed: int) -> dict:
    """Random weights."""
    kv = shape.n_kv_heads * shape.head_dim
    sizes = {
        "wq": (shape.dim, shape.dim),
        "wk": (kv, shape.dim),
        "wv": (kv, shape.dim),
        "wo": (shape.dim, shape.dim),
        "w_gate": (shape.ffn, shape.dim),
        "w_up": (shape.ffn, shape.dim),
        "w_down": (shape.dim, shape.ffn),
    }
    keys = iter(jax.random.split(jax.random.key(seed), 1 + shape.n_layers * len(sizes)))
    layers = []
    for _ in range(shape.n_layers):
        layer = {"attention_norm": jnp.ones(shape.dim), "ffn_norm": jnp.ones(shape.dim)}
        for name, size in sizes.items():
            # What is added to the stream starts smaller, so that depth does not swell it.
            spread = 0.6 / size[1] ** 0.5 * (0.35 if name in ("wo", "w_down") else 1.0)
            layer[name] = spread * jax.random.normal(next(keys), size)
        layers.append(layer)
    embedding = 0.05 * jax.random.normal(next(keys), (shape.vocabulary, shape.dim))
    probes = {name: jnp.zeros((classes, shape.dim)) for name, classes in shape.probed}
    return {"embedding": embedding, "layers": layers, "norm": jnp.ones(shape.dim), "probes": probes}


def rms_norm(x, weight, eps):
    """x over its root mean square, times the weight."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def rope(x, start: int, base: float):
    """x (batch, time, heads, head_dim) with each pair (2i, 2i+1) turned by its position."""
    head_dim = x.shape[-1]
    frequencies = base ** (-jnp.arange(0, head_dim, 2) / head_dim)
    angles = (start + jnp.arange(x.shape[1]))[:, None] * frequencies
    cos, sin = jnp.cos(angles)[:, None, :], jnp.sin(angles)[:, None, :]
    even, odd = x[..., 0::2], x[..., 1::2]
    return jnp.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)


def attention(shape: Shape, layer: dict, x, past, start: int):
    """What the heads add to x (batch, time, dim), and its keys and values.

    `past` holds keys and values (1, time, kv_heads, head_dim) that every row may look at.
    """
    batch, time, _ = x.shape
    groups = shape.n_heads // shape.n_kv_heads
    q = rope((x @ layer["wq"].T).reshape(batch, time, shape.n_heads, -1), start, shape.rope_base)
    k = rope((x @ layer["wk"].T).reshape(batch, time, shape.n_kv_heads, -1), start, shape.rope_base)
    v = (x @ layer["wv"].T).reshape(batch, time, shape.n_kv_heads, -1)
    q = q.reshape(batch, time, shape.n_kv_heads, groups, -1) * shape.head_dim**-0.5
    scores = jnp.einsum("btkgd,bskd->bkgts", q, k)
    scores = jnp.where(jnp.tri(time, dtype=bool), scores, -1e30)
    if past is None:
        mixed = jnp.einsum("bkgts,bskd->btkgd", jax.nn.softmax(scores), v)
    else:
        earlier = jnp.einsum("btkgd,skd->bkgts", q, past[0][0])
        weights = jax.nn.softmax(jnp.concatenate([earlier, scores], axis=-1))
        length = past[0].shape[1]
        mixed = jnp.einsum("bkgts,skd->btkgd", weights[..., :length], past[1][0])
        mixed += jnp.einsum("bkgts,bskd->btkgd", weights[..., length:], v)
    return mixed.reshape(batch, time, shape.dim) @ layer["wo"].T, (k, v)


def block(shape: Shape, layer: dict, x, past, start: int):
    """One layer."""
    mixed, kept = attention(shape, layer, rms_norm(x, layer["attention_norm"], shape.eps), past, start)
    x = x + mixed
    inner = rms_norm(x, layer["ffn_norm"], shape.eps)
    gated = jax.nn.silu(inner @ layer["w_gate"].T) * (inner @ layer["w_up"].T)
    return x + gated @ layer["w_down"].T, kept


def streams(shape: Shape, weights: dict, prefix, rows) -> list:
    """The stream (batch, time, dim) of `rows` (batch, time) after each layer, each after `prefix` (time)."""
    before = weights["embedding"][prefix][None]
    x, after = weights["embedding"][rows], []
    for layer in weights["layers"]:
        before, past = block(shape, layer, before, None, 0)
        x, _ = block(shape, layer, x, past, prefix.shape[0])
        after.append(x)
    return after


def hidden(shape: Shape, weights: dict, prefix, rows):
    """The normed stream after the last layer: what the head reads."""
    return rms_norm(streams(shape, weights, prefix, rows)[-1], weights["norm"], shape.eps)


def loss(shape: Shape, weights: dict, prefix, batch: dict):
    """The loss of a batch: on the label, the end after it, the text, and the probe's guesses.

    `rows` (batch, time) are documents with what follows them, the label and <|end|>;
    `label_at` (batch) is the place of the last token before the label. The text is counted in
    the first quarter of the rows only, because the head is a third of the work.
    """
    rows, label_at = batch["rows"], batch["label_at"]
    after = streams(shape, weights, prefix, rows)
    stream = rms_norm(after[-1], weights["norm"], shape.eps)
    places = label_at[:, None] + jnp.arange(2)
    answers = jnp.take_along_axis(stream, places[..., None], axis=1) @ weights["embedding"].T
    wanted = jnp.take_along_axis(rows, places + 1, axis=1)
    label = cross_entropy(answers, wanted)
    some = rows.shape[0] // 4
    guesses = stream[:some, :-1] @ weights["embedding"].T
    is_text = jnp.arange(rows.shape[1] - 1) < label_at[:some, None]
    text = jnp.sum(cross_entropy(guesses, rows[:some, 1:]) * is_text) / jnp.sum(is_text)
    probed = probe_loss(shape, weights, after, batch)
    total = label[:, 0].mean() + 0.2 * label[:, 1].mean() + 0.15 * text + 0.5 * probed
    return total, (label[:, 0].mean(), text, probed)


def probe_loss(shape: Shape, weights: dict, after: list, batch: dict):
    """How far linear probes below the last layer are from what the generator knows.

    Both tasks' labels are asked after the last layer but one, the two facts from which `flag`
    follows after the last but two; at each token in the second half of a document and whatever
    task the prompt asks. What decides a label then is learned beside the words that say it, in
    a fraction of the documents.
    """
    place = jnp.arange(batch["rows"].shape[1])
    late = (place <= batch["label_at"][:, None]) & (2 * place > batch["label_at"][:, None])
    total = 0.0
    for name, _ in shape.probed:
        stream = after[-2 if name in ("classify", "flag") else -3]
        guesses = rms_norm(stream, 1.0, shape.eps) @ weights["probes"][name].T
        wanted = jnp.broadcast_to(batch["known"][name][:, None], late.shape)
        total += jnp.sum(cross_entropy(guesses, wanted) * late)
    return total / jnp.sum(late)


def cross_entropy(logits, wanted):
    """Minus the log-probability of the token wanted."""
    chosen = jnp.take_along_axis(logits, wanted[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen
