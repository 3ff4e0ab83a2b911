// Tables of the angles that rotary position embeddings turn by.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace zimage {

// One token's place on the transformer's three axes: frame, row, column.
using Position = std::array<std::int64_t, 3>;

// Cosine and sine of every pair's angle: [positions, sum(axes_dims) / 2, 2]. Angles are computed in
// double, rounded to f32, as the reference does.
// Source: diffusers RopeEmbedder of ZImage.
std::vector<float> axial_rope_table(std::span<const Position> positions,
                                    std::span<const std::int64_t> axes_dims, double theta);

// The same for one axis and positions 0 to rows - 1: [rows, head_dim / 2, 2]. Angles are products
// of f32, as the reference does. Source: transformers Qwen3RotaryEmbedding.
std::vector<float> rope_table(std::int64_t rows, std::int64_t head_dim, double theta);

}  // namespace zimage
