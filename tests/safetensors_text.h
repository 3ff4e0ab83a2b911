// Makes the bytes of small safetensors files, right ones and wrong ones, for tests of their reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace zimage {

// The length of `header` in 8 bytes, `header`, `data`.
inline std::string safetensors_text(std::string_view header, std::string_view data) {
  std::string bytes;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    bytes += static_cast<char>((std::uint64_t{header.size()} >> shift) & 0xffU);
  }
  bytes += header;
  bytes += data;
  return bytes;
}

struct TensorText {
  std::string name;
  std::string dtype;  // "F32"
  std::string shape;  // "[2, 3]"
  std::string data;
};

// A right file of `tensors`, one behind the other.
inline std::string safetensors_text(const std::vector<TensorText>& tensors) {
  std::string header = "{";
  std::string data;
  for (const TensorText& tensor : tensors) {
    if (!data.empty()) header += ", ";
    header += '"' + tensor.name + R"(": {"dtype": ")" + tensor.dtype + R"(", "shape": )" +
              tensor.shape + R"(, "data_offsets": [)" + std::to_string(data.size()) + ", ";
    data += tensor.data;
    header += std::to_string(data.size()) + "]}";
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return safetensors_text(header, data);
}

}  // namespace zimage
