// Spans, their ramps, and weighted sums.
#include "pipeline/tiles.h"

#include <algorithm>
#include <cstddef>

namespace zimage {
namespace {

// Rises from the tile's neighbour before it, falls towards the one behind it.
std::vector<float> ramps(const std::vector<TileSpan>& spans, std::size_t index,
                         std::int64_t scale) {
  const TileSpan& span = spans[index];
  const std::int64_t size = (span.end - span.begin) * scale;
  const std::int64_t before = index > 0 ? (spans[index - 1].end - span.begin) * scale : 0;
  const std::int64_t behind =
      index + 1 < spans.size() ? (span.end - spans[index + 1].begin) * scale : 0;
  std::vector<float> weights(static_cast<std::size_t>(size), 1.0F);
  for (std::int64_t i = 0; i < size; ++i) {
    float& weight = weights[static_cast<std::size_t>(i)];
    if (i < before) weight = (static_cast<float>(i) + 0.5F) / static_cast<float>(before);
    const std::int64_t left = size - i;
    if (left <= behind)
      weight = std::min(weight, (static_cast<float>(left) - 0.5F) / static_cast<float>(behind));
  }
  return weights;
}

}  // namespace

std::vector<TileSpan> cut_into_tiles(std::int64_t extent, std::int64_t tile, std::int64_t scale) {
  std::vector<TileSpan> spans;
  if (tile == 0 || extent <= tile) {
    spans.push_back(
        {0, extent, std::vector<float>(static_cast<std::size_t>(extent * scale), 1.0F)});
    return spans;
  }
  const std::int64_t stride = tile - tile / 4;
  const std::int64_t gaps = (extent - tile + stride - 1) / stride;
  for (std::int64_t i = 0; i <= gaps; ++i) {
    const std::int64_t begin = i * (extent - tile) / gaps;
    spans.push_back({begin, begin + tile, {}});
  }
  std::vector<float> sums(static_cast<std::size_t>(extent * scale), 0.0F);
  for (std::size_t i = 0; i < spans.size(); ++i) {
    spans[i].weights = ramps(spans, i, scale);
    const auto first = static_cast<std::size_t>(spans[i].begin * scale);
    for (std::size_t j = 0; j < spans[i].weights.size(); ++j)
      sums[first + j] += spans[i].weights[j];
  }
  for (TileSpan& span : spans) {
    const auto first = static_cast<std::size_t>(span.begin * scale);
    for (std::size_t j = 0; j < span.weights.size(); ++j) span.weights[j] /= sums[first + j];
  }
  return spans;
}

void blend_tile(std::vector<float>& picture, std::int64_t width, const std::vector<float>& pixels,
                const PictureTile& tile, std::int64_t scale) {
  const auto columns = tile.columns.weights.size();
  const std::size_t channels = pixels.size() / (tile.rows.weights.size() * columns);
  const auto first_column = static_cast<std::size_t>(tile.columns.begin * scale);
  const auto first_row = static_cast<std::size_t>(tile.rows.begin * scale);
  for (std::size_t row = 0; row < tile.rows.weights.size(); ++row) {
    const float* from = pixels.data() + row * columns * channels;
    float* to = picture.data() +
                ((first_row + row) * static_cast<std::size_t>(width) + first_column) * channels;
    for (std::size_t i = 0; i < columns * channels; ++i)
      to[i] += from[i] * tile.rows.weights[row] * tile.columns.weights[i / channels];
  }
}

}  // namespace zimage
