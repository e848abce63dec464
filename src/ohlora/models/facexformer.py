"""FaceXFormer: one network for face parsing, landmarks, head pose, attributes and more.

After Narayan et al. 2024, https://arxiv.org/abs/2403.12960: Swin features of four scales are
fused into one map, and 18 learned tokens ask it 18 questions through a two-way transformer
(as in Segment Anything, https://arxiv.org/abs/2304.02643). Published weights: key
`state_dict_backbone` of ckpts/model.pt, renamed segmentation_model.pt by Oh-LoRA; 505 tensors.

    image       [B, 3, 224, 224]      ImageNet-normalised RGB of an enlarged face box
    parsing     [B, 11, 224, 224]     logits, order CLASSES
    landmarks   [B, 136]              68 points
    headpose    [B, 3]
    attributes  [B, 40]               logits, order of CelebA
    visibility  [B, 29]               logits
    age         [B, 8], gender [B, 2], race [B, 5]   logits
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ohlora.models.face_parts import CLASSES
from ohlora.models.swin import SIZE, Swin

GRID = SIZE // 4  # the fused map is 56 x 56


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(dims, dims[1:], strict=False))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


class FeedForward(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden)
        self.lin2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(self.lin1(x).relu())


class Attention(nn.Module):
    """Eight-head attention whose inner width may be smaller than that outside."""

    def __init__(self, width: int, inner: int, heads: int = 8) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, N, inner / heads]

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = self.split(self.q_proj(q)), self.split(self.k_proj(k)), self.split(self.v_proj(v))
        x = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out_proj(x.transpose(1, 2).flatten(2))


class TwoWayBlock(nn.Module):
    """Tokens look at each other, then at the image; then the image looks at the tokens."""

    def __init__(self, width: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(width, width)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = Attention(width, width // 2)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, 8 * width)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = Attention(width, width // 2)

    def forward(self, x: Tensor, image: Tensor, tokens: Tensor, place: Tensor) -> tuple:
        """x, tokens [B, 18, D]; image, place [B, 3136, D]. Return the new x and image."""
        if self.first:  # x is still the tokens: no residual and no second copy of them
            x = self.self_attn(x, x, x)
        else:
            x = x + self.self_attn(x + tokens, x + tokens, x)
        x = self.norm1(x)
        x = self.norm2(x + self.cross_attn_token_to_image(x + tokens, image + place, image))
        x = self.norm3(x + self.mlp(x))
        seen = self.cross_attn_image_to_token(image + place, x + tokens, x)
        return x, self.norm4(image + seen)


class TwoWayTransformer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([TwoWayBlock(width, first) for first in (True, False)])
        self.final_attn_token_to_image = Attention(width, width // 2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, image: Tensor, place: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x = tokens
        for layer in self.layers:
            x, image = layer(x, image, tokens, place)
        seen = self.final_attn_token_to_image(x + tokens, image + place, image)
        return self.norm_final_attn(x + seen), image


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of [B, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FaceDecoder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(width)
        self.landmarks_token = nn.Embedding(1, width)
        self.pose_token = nn.Embedding(1, width)
        self.attribute_token = nn.Embedding(1, width)
        self.visibility_token = nn.Embedding(1, width)
        self.age_token = nn.Embedding(1, width)
        self.gender_token = nn.Embedding(1, width)
        self.race_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(len(CLASSES), width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, kernel_size=2, stride=2),
            ChannelNorm(width // 4, eps=1e-6),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetwork_mlps = MLP(width, width, width, width // 8)
        self.landmarks_prediction_head = MLP(width, width, width, 136)
        self.pose_prediction_head = MLP(width, width, width, 3)
        self.attribute_prediction_head = MLP(width, width, width, 40)
        self.visibility_prediction_head = MLP(width, width, width, 29)
        self.age_prediction_head = MLP(width, width, width, 8)
        self.gender_prediction_head = MLP(width, width, width, 2)
        self.race_prediction_head = MLP(width, width, width, 5)

    def forward(self, image: Tensor, place: Tensor) -> dict[str, Tensor]:
        """image [B, D, 56, 56], place [D, 56, 56] -> the outputs of FaceXFormer."""
        embeddings = (
            self.landmarks_token,
            self.pose_token,
            self.attribute_token,
            self.visibility_token,
            self.age_token,
            self.gender_token,
            self.race_token,
            self.mask_tokens,
        )
        tokens = torch.cat([e.weight for e in embeddings]).expand(len(image), -1, -1)
        flat = image.flatten(2).transpose(1, 2)  # [B, 3136, D]
        x, flat = self.transformer(flat, place.flatten(1).T.unsqueeze(0), tokens)
        fine = self.output_upscaling(flat.transpose(1, 2).unflatten(2, (GRID, GRID)))
        masks = self.output_hypernetwork_mlps(x[:, 7:])  # [B, 11, 32]
        return {
            "parsing": torch.einsum("bcd,bdhw->bchw", masks, fine),
            "landmarks": self.landmarks_prediction_head(x[:, 0]),
            "headpose": self.pose_prediction_head(x[:, 1]),
            "attributes": self.attribute_prediction_head(x[:, 2]),
            "visibility": self.visibility_prediction_head(x[:, 3]),
            "age": self.age_prediction_head(x[:, 4]),
            "gender": self.gender_prediction_head(x[:, 5]),
            "race": self.race_prediction_head(x[:, 6]),
        }


class PlaceEncoding(nn.Module):
    """Where a cell lies, as sines of random projections of its centre."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, width // 2))

    def forward(self) -> Tensor:
        """Return [D, 56, 56]."""
        matrix = self.positional_encoding_gaussian_matrix
        centre = (torch.arange(GRID, device=matrix.device, dtype=matrix.dtype) + 0.5) / GRID
        y, x = torch.meshgrid(2 * centre - 1, 2 * centre - 1, indexing="ij")
        angle = 2 * math.pi * (torch.stack([x, y], dim=-1) @ matrix)
        return torch.cat([angle.sin(), angle.cos()], dim=-1).permute(2, 0, 1)


class StageProjection(nn.Module):
    """One Swin map's share of the fused map: [B, D, 56, 56]."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, width)

    def forward(self, x: Tensor, fuse: Tensor) -> Tensor:
        """x [B, C, H, W]; fuse [D, D], the part of linear_fuse that this stage meets."""
        # Projecting, enlarging and fusing are linear, so their order is free: on its own grid a
        # stage has up to 64 times fewer places to fuse, and both matrices become one.
        x = x.permute(0, 2, 3, 1)
        x = nn.functional.linear(x, fuse @ self.proj.weight, fuse @ self.proj.bias)
        x = x.permute(0, 3, 1, 2)
        return nn.functional.interpolate(x, (GRID, GRID), mode="bilinear", align_corners=False)


class FaceXFormer(nn.Module):
    """The published network has the default sizes; smaller ones are for tests."""

    def __init__(self, swin: int = 128, middle_depth: int = 18, width: int = 256) -> None:
        super().__init__()
        self.backbone = Swin(swin, (2, 2, middle_depth, 2))
        self.pe_layer = PlaceEncoding(width)
        self.face_decoder = FaceDecoder(width)
        self.linear_c = nn.ModuleList(StageProjection(swin * 2**i, width) for i in range(4))
        self.linear_fuse = nn.Conv2d(4 * width, width, kernel_size=1, bias=False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return every output by name. Raises ShapeError unless images are 224 x 224."""
        features = self.backbone(image)
        parts = self.linear_fuse.weight[:, :, 0, 0].chunk(4, dim=1)[::-1]  # deepest first
        stages = zip(self.linear_c, features, parts, strict=True)
        fused = sum(fit(x, part) for fit, x, part in stages)
        return self.face_decoder(fused, self.pe_layer())
