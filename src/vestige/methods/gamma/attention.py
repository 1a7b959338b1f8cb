"""Reverse cross-attention: the classification's tokens look back at what segmentation found.

Of the paper we have the abstract: the mechanism lets "the segmentation heads guide and correct biased
representations in the classification branch". Where queries and keys come from is our reading.
"""

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

EXPANSION = 2  # of the feed-forward layers


class AttentionOptions(BaseModel):
    """Reverse cross-attention.

    Attributes:
        queries: learned tokens beside the one that is made of the tower's summary.
        heads: of the attention; the network's width must be a multiple of it.
        depth: layers of attention.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    queries: int = Field(4, ge=0)
    heads: int = Field(4, ge=1)
    depth: int = Field(1, ge=1)


class CrossAttention(nn.Module):
    """Multi-head attention from tokens to a memory (Vaswani et al., 2017).

    Args:
        width: of tokens and memory, a multiple of `heads`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Tokens [B, N, width], memory [B, M, width] -> [B, N, width]."""
        query, key, value = (
            some.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, N or M, width / heads]
            for some in (self.query(tokens), self.key(memory), self.value(memory))
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        found: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return found


class AttentionLayer(nn.Module):
    """Cross-attention and a feed-forward layer, both residual with normalisation before them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_tokens, self.norm_memory = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, EXPANSION * width),
            nn.GELU(),
            nn.Linear(EXPANSION * width, width),
        )

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Tokens [B, N, width], memory [B, M, width] -> tokens of the same shape."""
        tokens = tokens + self.attention(self.norm_tokens(tokens), self.norm_memory(memory))
        fed: Tensor = self.feed_forward(tokens)
        return tokens + fed


class ReverseAttention(nn.Module):
    """Tokens of the classification, corrected by what the segmentation branch says of every place.

    Args:
        summary: width of the tower's summary.
        width: of tokens and of the segmentation's features.
        sources: number of the maps of features that are looked at.
        logits: whether each has a map of logits, which is one more channel.
    """

    def __init__(
        self, options: AttentionOptions, summary: int, width: int, sources: int, logits: bool
    ) -> None:
        super().__init__()
        self.project = nn.Linear(summary, width)
        self.queries = nn.Parameter(torch.randn(1, options.queries, width) / width**0.5)
        # Each has its own: a bias tells whose features these are.
        self.memories = nn.ModuleList(nn.Linear(width + logits, width) for _ in range(sources))
        self.layers = nn.ModuleList(AttentionLayer(width, options.heads) for _ in range(options.depth))
        self.norm = nn.LayerNorm(width)
        self.tokens = 1 + options.queries

    def forward(self, summary: Tensor, found: tuple[Tensor, ...], logits: tuple[Tensor, ...]) -> Tensor:
        """Tokens [B, 1 + queries, width], the summary's first.

        Args:
            summary: [B, E].
            found: features [B, width, h, w] of each source.
            logits: [B, 1, h, w] of each source, or none.
        """
        if logits:
            found = tuple(torch.cat(pair, 1) for pair in zip(found, logits, strict=True))
        read = [
            make(features.flatten(2).transpose(1, 2))
            for make, features in zip(self.memories, found, strict=True)
        ]
        memory = torch.cat(read, 1)  # [B, sources * h * w, width]
        own: Tensor = self.project(summary)[:, None]
        # Not len(): an exported graph would be for batches of one size.
        learned = self.queries.to(own.dtype).expand(own.shape[0], -1, -1)
        tokens = torch.cat([own, learned], 1)
        for layer in self.layers:
            tokens = layer(tokens, memory)
        normalised: Tensor = self.norm(tokens)
        return normalised
