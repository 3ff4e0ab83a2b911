// Fitting, and the reads of what was fitted.
#include "pipeline/source_picture.h"

#include <algorithm>
#include <cstddef>

#include "image/resize.h"

namespace zimage {
namespace {

constexpr std::uint8_t kHalf = 128;

Extent extent_of(const Image& image) {
  return {.width = image.width, .height = image.height};
}

// With the last column and row repeated.
Image extended(const Image& image, std::int64_t width, std::int64_t height) {
  if (image.width == width && image.height == height) return image;
  Image out{.width = width, .height = height, .rgb = {}};
  out.rgb.reserve(static_cast<std::size_t>(width * height * 3));
  for (std::int64_t row = 0; row < height; ++row) {
    const std::int64_t from = std::min(row, image.height - 1) * image.width;
    for (std::int64_t column = 0; column < width; ++column) {
      const std::uint8_t* pixel = image.rgb.data() + (from + std::min(column, image.width - 1)) * 3;
      out.rgb.insert(out.rgb.end(), pixel, pixel + 3);
    }
  }
  return out;
}

// Source: ITU-R BT.601, in Pillow's 16-bit fixed point (Convert.c, L24).
std::uint8_t brightness(const std::uint8_t* rgb) {
  const std::uint32_t sum = rgb[0] * 19595U + rgb[1] * 38470U + rgb[2] * 7471U + 0x8000U;
  return static_cast<std::uint8_t>(sum >> 16);
}

std::vector<std::uint8_t> mask_of(const Image& image) {
  std::vector<std::uint8_t> mask(image.rgb.size() / 3);
  for (std::size_t i = 0; i < mask.size(); ++i)
    mask[i] = brightness(&image.rgb[i * 3]) >= kHalf ? 1 : 0;
  return mask;
}

}  // namespace

SourcePicture fit_source(const Request& request, std::int64_t width, std::int64_t height) {
  const Extent size{.width = *request.width, .height = *request.height};
  const Extent from = extent_of(request.init_image);
  const Crop part = middle_of(from, size);
  SourcePicture source{.picture = extended(resized(request.init_image, part, size), width, height),
                       .mask = {}};
  if (request.mask.empty()) return source;
  // The same part of a mask, which may have been made smaller or larger.
  const double across = static_cast<double>(request.mask.width) / static_cast<double>(from.width);
  const double down = static_cast<double>(request.mask.height) / static_cast<double>(from.height);
  const Crop same{.left = part.left * across,
                  .top = part.top * down,
                  .width = part.width * across,
                  .height = part.height * down};
  source.mask = mask_of(extended(resized(request.mask, same, size), width, height));
  return source;
}

std::vector<float> encoder_pixels(const Image& picture, std::int64_t begin, std::int64_t end) {
  const auto row = static_cast<std::size_t>(picture.width * 3);
  const std::size_t first = static_cast<std::size_t>(begin) * row;
  const std::size_t last = static_cast<std::size_t>(end) * row;
  std::vector<float> pixels;
  pixels.reserve(last - first);
  // Rounded where the reference rounds: to 0..1, then to -1..1.
  for (std::size_t i = first; i < last; ++i)
    pixels.push_back(2.0F * (static_cast<float>(picture.rgb[i]) / 255.0F) - 1.0F);
  return pixels;
}

std::vector<float> mask_tokens(const SourcePicture& source, const LatentShape& shape) {
  const std::int64_t scale = source.picture.height / shape.rows;
  std::vector<float> plane;
  plane.reserve(static_cast<std::size_t>(shape.rows * shape.columns));
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    for (std::int64_t column = 0; column < shape.columns; ++column) {
      const std::int64_t at = row * scale * source.picture.width + column * scale;
      plane.push_back(source.mask[static_cast<std::size_t>(at)] != 0 ? 1.0F : 0.0F);
    }
  }
  std::vector<float> planes;
  planes.reserve(static_cast<std::size_t>(shape.elements()));
  for (std::int64_t channel = 0; channel < shape.channels; ++channel)
    planes.insert(planes.end(), plane.begin(), plane.end());
  return tokens_from_planes(planes, shape);
}

void keep_unmasked(Image& image, const SourcePicture& source) {
  for (std::int64_t row = 0; row < image.height; ++row) {
    for (std::int64_t column = 0; column < image.width; ++column) {
      const std::int64_t at = row * source.picture.width + column;
      if (source.mask[static_cast<std::size_t>(at)] != 0) continue;
      std::copy_n(source.picture.rgb.data() + at * 3, 3,
                  image.rgb.data() + (row * image.width + column) * 3);
    }
  }
}

}  // namespace zimage
