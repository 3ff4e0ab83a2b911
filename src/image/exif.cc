// One tag of the first directory of a TIFF file. Source: EXIF 2.32, 4.6.2; TIFF 6.0, section 2.
#include <algorithm>
#include <array>
#include <cstddef>

#include "image/samples.h"

namespace zimage {
namespace {

constexpr std::array<std::uint8_t, 6> kExifMark = {'E', 'x', 'i', 'f', 0, 0};
constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kShort = 3;
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kEntryBytes = 12;

class Tiff {
 public:
  explicit Tiff(std::span<const std::uint8_t> bytes) : bytes_(bytes), big_(bytes[0] == 'M') {}

  // 0 beyond the end.
  std::uint32_t number(std::size_t at, std::size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::uint32_t byte = bytes_[at + i];
      value = big_ ? value << 8 | byte : value | byte << (8 * i);
    }
    return value;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  bool big_;
};

}  // namespace

int exif_orientation(std::span<const std::uint8_t> exif) {
  if (exif.size() >= kExifMark.size() &&
      std::equal(kExifMark.begin(), kExifMark.end(), exif.begin()))
    exif = exif.subspan(kExifMark.size());
  if (exif.size() < kHeaderBytes || exif[0] != exif[1] || (exif[0] != 'I' && exif[0] != 'M'))
    return kUpright;
  const Tiff tiff(exif);
  if (tiff.number(2, 2) != 42) return kUpright;
  const std::size_t directory = tiff.number(4, 4);
  const std::size_t entries = tiff.number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntryBytes;
    if (tiff.number(entry, 2) != kOrientationTag) continue;
    const std::uint32_t value = tiff.number(entry + 8, 2);
    const bool known = tiff.number(entry + 2, 2) == kShort && value >= 1 && value <= 8;
    return known ? static_cast<int>(value) : kUpright;
  }
  return kUpright;
}

}  // namespace zimage
