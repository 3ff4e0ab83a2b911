// Reads the small safetensors fixtures under tests/golden and tests/formats. What enters: a path;
// what leaves: each tensor's shape and values as float. It shares no code with src/checkpoint, so
// neither hides the other's mistakes.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace zimage {

// A file of F32, I64 and U8 tensors. Integers become floats, which is exact below 2^24.
class GoldenFile {
 public:
  struct Entry {
    std::vector<std::int64_t> shape;
    std::vector<float> values;
  };

  // Throws std::runtime_error for a file that is absent or not of this form.
  explicit GoldenFile(const std::filesystem::path& path) : path_(path.string()) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) throw std::runtime_error(path_ + ": cannot be opened");
    const std::string bytes((std::istreambuf_iterator<char>(stream)),
                            std::istreambuf_iterator<char>());
    std::uint64_t header_size = 0;
    if (bytes.size() < sizeof header_size) throw std::runtime_error(path_ + ": too short");
    std::memcpy(&header_size, bytes.data(), sizeof header_size);
    if (header_size > bytes.size() - sizeof header_size) {
      throw std::runtime_error(path_ + ": header larger than the file");
    }
    const std::size_t start = sizeof header_size + header_size;
    const auto header = nlohmann::json::parse(bytes.begin() + sizeof header_size,
                                              bytes.begin() + static_cast<std::ptrdiff_t>(start));
    for (const auto& [name, tensor] : header.items()) {
      if (name != "__metadata__") entries_[name] = read_entry(name, tensor, bytes, start);
    }
  }

  const std::map<std::string, Entry>& entries() const { return entries_; }

  // Throws std::runtime_error when there is no such tensor.
  const Entry& at(const std::string& name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) throw std::runtime_error(path_ + ": no tensor " + name);
    return found->second;
  }
  const std::vector<float>& values(const std::string& name) const { return at(name).values; }

 private:
  Entry read_entry(const std::string& name, const nlohmann::json& tensor, const std::string& bytes,
                   std::size_t start) const {
    Entry entry{tensor.at("shape").get<std::vector<std::int64_t>>(), {}};
    const std::string dtype = tensor.at("dtype").get<std::string>();
    const auto begin = start + tensor.at("data_offsets").at(0).get<std::size_t>();
    const auto end = start + tensor.at("data_offsets").at(1).get<std::size_t>();
    if (begin > end || end > bytes.size()) {
      throw std::runtime_error(path_ + ": " + name + " lies outside the file");
    }
    if (dtype == "F32") {
      entry.values = read_values<float>(bytes, begin, end);
    } else if (dtype == "I64") {
      entry.values = read_values<std::int64_t>(bytes, begin, end);
    } else if (dtype == "U8") {
      entry.values = read_values<std::uint8_t>(bytes, begin, end);
    } else {
      throw std::runtime_error(path_ + ": " + name + " is " + dtype + ", expected F32, I64 or U8");
    }
    std::int64_t elements = 1;
    for (const std::int64_t extent : entry.shape) elements *= extent;
    if (static_cast<std::int64_t>(entry.values.size()) != elements) {
      throw std::runtime_error(path_ + ": " + name + " has a shape that is not its size");
    }
    return entry;
  }

  template <typename T>
  static std::vector<float> read_values(const std::string& bytes, std::size_t begin,
                                        std::size_t end) {
    std::vector<T> raw((end - begin) / sizeof(T));
    if (!raw.empty()) std::memcpy(raw.data(), bytes.data() + begin, raw.size() * sizeof(T));
    std::vector<float> values;
    values.reserve(raw.size());
    for (const T value : raw) values.push_back(static_cast<float>(value));
    return values;
  }

  std::string path_;
  std::map<std::string, Entry> entries_;
};

}  // namespace zimage
