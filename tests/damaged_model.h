// A copy of a model's folder in which tests change numbers of the weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "temp_folder.h"

namespace zimage {

class DamagedModel {
 public:
  explicit DamagedModel(const std::filesystem::path& model) {
    std::filesystem::copy(model, folder_.path(), std::filesystem::copy_options::recursive);
  }
  // With the first number of one tensor replaced.
  DamagedModel(const std::filesystem::path& model, const char* part, const char* file,
               const std::string& tensor, std::uint16_t bits)
      : DamagedModel(model) {
    damage(part, file, tensor, bits, 0);
  }

  // Replaces number `index`, which has two bytes.
  void damage(const char* part, const char* file, const std::string& tensor, std::uint16_t bits,
              std::uint64_t index) {
    edit(part, file, tensor,
         [&](std::vector<std::uint16_t>& numbers) { numbers.at(index) = bits; });
  }

  // Has `change` change a tensor of numbers of two bytes.
  template <class Change>
  void edit(const char* part, const char* file, const std::string& tensor, const Change& change) {
    std::fstream stream(folder_.path() / part / file,
                        std::ios::in | std::ios::out | std::ios::binary);
    stream.exceptions(std::ios::failbit | std::ios::badbit);
    std::uint64_t size = 0;
    stream.read(reinterpret_cast<char*>(&size), sizeof size);
    std::string header(size, ' ');
    stream.read(header.data(), static_cast<std::streamsize>(size));
    const auto [begin, end] = nlohmann::json::parse(header)
                                  .at(tensor)
                                  .at("data_offsets")
                                  .get<std::pair<std::uint64_t, std::uint64_t>>();
    const auto at = static_cast<std::streamoff>(sizeof size + size + begin);
    std::vector<std::uint16_t> numbers((end - begin) / 2);
    const auto bytes = static_cast<std::streamsize>(end - begin);
    stream.seekg(at);
    stream.read(reinterpret_cast<char*>(numbers.data()), bytes);
    change(numbers);
    stream.seekp(at);
    stream.write(reinterpret_cast<const char*>(numbers.data()), bytes);
  }

  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TempFolder folder_;
};

}  // namespace zimage
