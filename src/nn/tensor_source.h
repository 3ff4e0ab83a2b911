// Where a network's host tensors come from: an interface, and a part of a checkpoint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fnv1a.h"
#include "base/host_tensor.h"
#include "checkpoint/checkpoint.h"
#include "nn/read_ahead.h"
#include "nn/slab_file.h"
#include "nn/widen.h"

namespace zimage {

class TensorSource {
 public:
  TensorSource() = default;
  virtual ~TensorSource() = default;
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;

  // A view of host memory that lives as long as the source, plain or quantized, at any address.
  // Throws NotFound or InvalidFile (another shape), naming the file and the tensor.
  virtual HostTensor tensor(const std::string& name, const Shape& shape) = 0;
  // Declares that tensors whose names begin so are not needed.
  virtual void ignore(std::string_view /*prefix*/) {}
  // Hints about a tensor that was handed out: it has been read, so its pages need not stay in
  // memory. It can be read at any time all the same.
  virtual void evict(const Tensor& /*tensor*/) {}
  // The same about everything: reading a tensor brings in some of what lies around it.
  virtual void evict_all() {}
  // A hint about a tensor's memory, or pages of slabs(): they will be read soon.
  virtual void read_ahead(std::span<const std::byte> /*memory*/) {}
  // True where modules ask to read ahead whatever they are about to load.
  virtual bool preloads() const { return false; }
  // What loads make of its f32 matrices, and what they tell of numbers that they rounded.
  virtual WideNumbers wide_numbers() const { return WideNumbers::Kept; }
  virtual void count_rounded(std::int64_t /*numbers*/) {}
  // The file in which modules that are loaded from this keep their slabs; null: none does.
  virtual SlabFile* slabs() { return nullptr; }
};

// Asks another source, which must outlive this, to read ahead whatever is asked for through this.
class ReadAheadSource final : public TensorSource {
 public:
  explicit ReadAheadSource(TensorSource& source) : source_(source) {}

  HostTensor tensor(const std::string& name, const Shape& shape) override {
    const HostTensor found = source_.tensor(name, shape);
    const Tensor numbers = found.numbers();
    source_.read_ahead({static_cast<const std::byte*>(numbers.data), numbers.bytes()});
    return found;
  }
  WideNumbers wide_numbers() const override { return source_.wide_numbers(); }

 private:
  TensorSource& source_;
};

// Passes on what is asked of another source, which must outlive this, and remembers the names: what
// binds equal names in equal order binds the same weights.
class NamingSource final : public TensorSource {
 public:
  explicit NamingSource(TensorSource& source) : source_(source) {}

  HostTensor tensor(const std::string& name, const Shape& shape) override {
    if (first_.empty()) first_ = name;
    sum_.add(name);
    sum_.add("\n");
    return source_.tensor(name, shape);
  }
  WideNumbers wide_numbers() const override { return source_.wide_numbers(); }
  void ignore(std::string_view prefix) override { source_.ignore(prefix); }
  // The first name, and a sum of all of them.
  std::string names() const { return first_ + ":" + std::to_string(sum_.value()); }

 private:
  TensorSource& source_;
  std::string first_;
  Fnv1a sum_;
};

// A part of a checkpoint, which must outlive this. Remembers which tensors were asked for.
class CheckpointSource final : public TensorSource {
 public:
  explicit CheckpointSource(const CheckpointPart& part) : part_(part) {}

  HostTensor tensor(const std::string& name, const Shape& shape) override;
  void ignore(std::string_view prefix) override { ignored_.emplace_back(prefix); }
  void evict(const Tensor& tensor) override { part_.evict(tensor); }
  void evict_all() override { part_.evict_all(); }
  void read_ahead(std::span<const std::byte> memory) override;
  bool preloads() const override { return ahead_.has_value(); }
  WideNumbers wide_numbers() const override { return wide_numbers_; }
  void count_rounded(std::int64_t numbers) override { rounded_ += numbers; }
  SlabFile* slabs() override { return slabs_.get(); }

  // From here on modules' files are read ahead of their loading.
  void preload() { ahead_.emplace(); }
  // From here on f32 matrices become bf16.
  void narrow() { wide_numbers_ = WideNumbers::ToBf16; }
  // How many numbers were rounded since the last call.
  std::int64_t take_rounded() { return std::exchange(rounded_, 0); }
  // From here on modules keep their slabs in `file`, or nowhere: null. Modules that were loaded
  // from an earlier one and are streamed must be gone.
  void keep_slabs(std::unique_ptr<SlabFile> file) { slabs_ = std::move(file); }
  // Throws InvalidFile when the part has tensors that nobody asked for and nobody ignores: a layout
  // that is understood by half must not load.
  void throw_if_unused() const;

 private:
  const CheckpointPart& part_;
  std::set<std::string, std::less<>> used_;
  std::vector<std::string> ignored_;
  std::unique_ptr<SlabFile> slabs_;
  WideNumbers wide_numbers_ = WideNumbers::Kept;
  std::int64_t rounded_ = 0;
  std::optional<ReadAhead> ahead_;  // where files are preloaded
};

}  // namespace zimage
