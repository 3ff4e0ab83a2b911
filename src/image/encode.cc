// Chooses the encoder; limits of the formats.
#include "image/encode.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "base/error.h"
#include "base/utf8.h"
#include "image/encoders.h"

namespace zimage {
namespace {

struct FormatFacts {
  PictureFormat format;
  const char* title;
  std::string_view name;
  std::string_view extension;
  std::int64_t most_side;
  std::size_t most_exif;
};

// Source: jmorecfg.h of libjpeg-turbo (JPEG_MAX_DIMENSION), encode.h of libwebp
// (WEBP_MAX_DIMENSION); a JPEG segment has 16 bits for its length.
constexpr std::array kFormats = {
    FormatFacts{PictureFormat::Png, "PNG", "png", "png", 0x7fffffff, 0},
    FormatFacts{PictureFormat::Jpeg, "JPEG", "jpeg", "jpg", 65500, 65527},
    FormatFacts{PictureFormat::Webp, "WebP", "webp", "webp", 16383, std::size_t{1} << 30}};

const FormatFacts& facts_of(PictureFormat format) {
  return kFormats[static_cast<std::size_t>(format)];
}

}  // namespace

void check_image(const Image& image, const char* format) {
  const std::int64_t limit = std::numeric_limits<std::int32_t>::max();
  const bool possible =
      image.width > 0 && image.height > 0 && image.width <= limit && image.height <= limit;
  const std::string what = std::string(format) + ": an image of " + std::to_string(image.width) +
                           "x" + std::to_string(image.height) + " pixels";
  if (!possible) throw Error(ErrorCode::InvalidArgument, what);
  const auto width = static_cast<std::uint64_t>(image.width);
  const auto height = static_cast<std::uint64_t>(image.height);
  if (image.rgb.size() / 3 == width * height && image.rgb.size() % 3 == 0) return;
  throw Error(ErrorCode::InvalidArgument, what + " with " + std::to_string(image.rgb.size()) +
                                              " bytes, expected " +
                                              std::to_string(width * height * 3));
}

void check_text(const std::string& text, const std::string& name) {
  if (const auto at = find_invalid_utf8(text))
    throw Error(ErrorCode::InvalidArgument, name + ": not UTF-8 at byte " + std::to_string(*at));
  if (text.find('\0') != std::string::npos)
    throw Error(ErrorCode::InvalidArgument, name + ": holds a zero byte");
}

std::string_view name_of(PictureFormat format) {
  return facts_of(format).name;
}

std::string_view extension_of(PictureFormat format) {
  return facts_of(format).extension;
}

std::optional<PictureFormat> format_of_extension(std::string_view extension) {
  std::string lower(extension);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  for (const FormatFacts& facts : kFormats) {
    if (lower == facts.name || lower == facts.extension) return facts.format;
  }
  return std::nullopt;
}

void check_encodable(std::int64_t width, std::int64_t height, const ImageText& text,
                     PictureFormat format) {
  const FormatFacts& facts = facts_of(format);
  if (std::max(width, height) > facts.most_side) {
    throw Error(ErrorCode::InvalidArgument,
                std::string(facts.title) + ": a picture of " + std::to_string(width) + "x" +
                    std::to_string(height) + " pixels, expected sides up to " +
                    std::to_string(facts.most_side));
  }
  if (format == PictureFormat::Png) return;
  for (const auto& [keyword, value] : text)
    check_text(value, std::string(facts.title) + " text \"" + keyword + "\"");
  const std::size_t bytes = exif_of(text).size();
  if (bytes > facts.most_exif) {
    throw Error(ErrorCode::InvalidArgument,
                std::string(facts.title) + ": " + std::to_string(bytes) +
                    " bytes of metadata, expected up to " + std::to_string(facts.most_exif) +
                    ": a shorter prompt, or another format");
  }
}

std::vector<std::uint8_t> encode_picture(const Image& image, const ImageText& text,
                                         const EncodeOptions& options) {
  if (options.format == PictureFormat::Png) return encode_png(image, text);
  check_image(image, facts_of(options.format).title);
  check_encodable(image.width, image.height, text, options.format);
  const std::vector<std::uint8_t> exif = exif_of(text);
  const int quality = std::clamp(options.quality, 1, kMaxQuality);
  return options.format == PictureFormat::Jpeg ? encode_jpeg(image, exif, quality)
                                               : encode_webp(image, exif, quality);
}

}  // namespace zimage
