"""Decoding with a large language model, split over the ranks as tensor parallelism splits it: attention by its heads,
the rest by columns and rows. Of a model with 7 billion weights it is an eighth: 4 of 32 layers, of full width."""

import torch
import torch.distributed as dist
import torch.nn.functional as F

HIDDEN, HEADS, INNER, LAYERS, CONTEXT = 4096, 32, 11008, 4, 256


def rows_of(size, dtype):
    """How many sequences' hidden vectors make this many bytes."""
    return size // (HIDDEN * dtype.itemsize)


def weights(rows, columns, dtype):
    """Their values do not matter, but to make as many random ones takes long."""
    block = torch.randn(16, columns, generator=torch.Generator().manual_seed(rows)) / columns**0.5
    return block.to(dtype).repeat(-(-rows // 16), 1)[:rows]


class Layer:
    def __init__(self, ranks, batch, dtype):
        self.qkv, self.out = weights(3 * HIDDEN // ranks, HIDDEN, dtype), weights(HIDDEN, HIDDEN // ranks, dtype)
        self.up, self.down = weights(2 * INNER // ranks, HIDDEN, dtype), weights(HIDDEN, INNER // ranks, dtype)
        self.keys, self.values = torch.zeros(2, batch, HEADS // ranks, CONTEXT, HIDDEN // HEADS, dtype=dtype)

    def attend(self, x):
        q, k, v = F.linear(x, self.qkv).view(len(x), 3, -1, 1, HIDDEN // HEADS).unbind(1)
        self.keys[:, :, -1:], self.values[:, :, -1:] = k, v
        return F.scaled_dot_product_attention(q, self.keys, self.values).reshape(len(x), -1)

    def step(self, x, all_reduce):
        partial = F.linear(self.attend(F.rms_norm(x, (HIDDEN,))), self.out)
        all_reduce(partial)
        x = x + partial
        gate, up = F.linear(F.rms_norm(x, (HIDDEN,)), self.up).chunk(2, -1)
        partial = F.linear(F.silu(gate) * up, self.down)
        all_reduce(partial)
        return x + partial


class Model:
    def __init__(self, size, dtype):
        """`size` is the bytes of what a layer reduces, twice in a step: the hidden vectors of all sequences."""
        batch = rows_of(size, dtype)
        self.inputs = weights(batch, HIDDEN, dtype)
        self.layers = [Layer(dist.get_world_size(), batch, dtype) for _ in range(LAYERS)]

    def step(self, all_reduce):
        """The next token of each sequence: its hidden vectors after the last layer."""
        x = self.inputs
        for layer in self.layers:
            x = layer.step(x, all_reduce)
        return x
