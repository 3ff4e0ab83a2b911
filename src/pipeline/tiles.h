// Cutting a picture into tiles that overlap, and blending what the autoencoder makes of them.
// Follows diffusers AutoencoderKL.tiled_decode and tiled_encode, whose tiles fade into each other
// linearly.
#pragma once

#include <cstdint>
#include <vector>

namespace zimage {

// One side of a tile: latent rows or columns from begin to before end, and what each of its pixels
// counts in the blend. Where tiles overlap, their weights sum to 1.
struct TileSpan {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::vector<float> weights;  // [scale (end - begin)]
};

// Covers `extent` latent pixels with as few spans of `tile` as overlap by a quarter of it or more,
// at equal distances; with one of `extent` where that is enough or `tile` is 0. `scale` is the
// number of pixels in a latent pixel.
std::vector<TileSpan> cut_into_tiles(std::int64_t extent, std::int64_t tile, std::int64_t scale);

// One tile of a picture.
struct PictureTile {
  const TileSpan& rows;
  const TileSpan& columns;
  std::int64_t picture = 0;  // which one of a drawing
  std::int64_t index = 0;    // of count
  std::int64_t count = 1;
};

// Adds a tile's pixels [scale rows, scale columns, C], weighted, to the picture of `width` pixels.
void blend_tile(std::vector<float>& picture, std::int64_t width, const std::vector<float>& pixels,
                const PictureTile& tile, std::int64_t scale);

}  // namespace zimage
