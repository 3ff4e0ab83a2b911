// Any bytes as a picture: either one Error, or as many pixels as its extents say; a picture of a
// few pixels also survives being fitted to another size.
#include <cstddef>
#include <cstdint>
#include <span>

#include "checks.h"
#include "image/decode.h"
#include "image/resize.h"
#include "image/samples.h"

namespace {

using zimage::Image;
using zimage::fuzz::answer;
using zimage::fuzz::require;

// Time for many inputs: larger pictures pass the same code.
constexpr std::uint64_t kMostPixels = 1 << 20;

void check(const Image& image) {
  require(image.width > 0 && image.height > 0);
  require(image.rgb.size() == static_cast<std::size_t>(image.width * image.height * 3));
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span file(data, size);
  const int orientation = zimage::exif_orientation(file);
  require(orientation >= 1 && orientation <= 8);
  answer([&] {
    const Image image = zimage::decode_picture(file, "input", zimage::kWhite, kMostPixels);
    check(image);
    if (image.rgb.size() > 100'000) return;
    const Image fitted =
        resized(image, zimage::middle_of({image.width, image.height}, {16, 24}), {16, 24});
    check(fitted);
    require(fitted.width == 16 && fitted.height == 24);
  });
  return 0;
}
