// Tensors and facts become a GGUF file: its header, and the place of each tensor. The reader is
// checkpoint/gguf.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "convert/planned_file.h"

namespace zimage {

// Keys and values as the file has them, in the order in which they were added.
class GgufFacts {
 public:
  void add(std::string_view key, std::uint32_t value);
  void add(std::string_view key, float value);
  void add(std::string_view key, std::string_view value);
  void add(std::string_view key, const std::vector<std::int32_t>& values);
  void add(std::string_view key, const std::vector<std::string>& values);
  void add_flag(std::string_view key, std::uint8_t value);

  std::uint64_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void begin(std::string_view key, std::uint32_t type);

  std::string bytes_;
  std::uint64_t count_ = 0;
};

// Tensors stay in their order. Throws Unsupported for a dtype that the format does not have.
PlannedFile plan_gguf(std::string path, std::vector<PlannedTensor> tensors, const GgufFacts& facts);

}  // namespace zimage
