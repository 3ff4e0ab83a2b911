// Where a network's host tensors come from: an interface, and a part of a checkpoint.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/host_tensor.h"
#include "checkpoint/checkpoint.h"

namespace zimage {

class TensorSource {
 public:
  TensorSource() = default;
  virtual ~TensorSource() = default;
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;

  // A view of host memory that lives as long as the source, plain or quantized. Throws NotFound or
  // InvalidFile (another shape), naming the file and the tensor.
  virtual HostTensor tensor(const std::string& name, const Shape& shape) = 0;
  // Declares that tensors whose names begin so are not needed.
  virtual void ignore(std::string_view /*prefix*/) {}
  // Hints about a tensor that was handed out: it has been read, so its pages need not stay in
  // memory; it will be read soon. It can be read at any time all the same.
  virtual void evict(const Tensor& /*tensor*/) {}
  // The same about everything: reading a tensor brings in some of what lies around it.
  virtual void evict_all() {}
  virtual void read_ahead(const Tensor& /*tensor*/) {}
};

// Asks another source, which must outlive this, to read ahead whatever is asked for through this.
class ReadAheadSource final : public TensorSource {
 public:
  explicit ReadAheadSource(TensorSource& source) : source_(source) {}

  HostTensor tensor(const std::string& name, const Shape& shape) override {
    const HostTensor found = source_.tensor(name, shape);
    source_.read_ahead(found.numbers());
    return found;
  }

 private:
  TensorSource& source_;
};

// A part of a checkpoint, which must outlive this. Remembers which tensors were asked for.
class CheckpointSource final : public TensorSource {
 public:
  explicit CheckpointSource(const CheckpointPart& part) : part_(part) {}

  HostTensor tensor(const std::string& name, const Shape& shape) override;
  void ignore(std::string_view prefix) override { ignored_.emplace_back(prefix); }
  void evict(const Tensor& tensor) override { part_.evict(tensor); }
  void evict_all() override { part_.evict_all(); }
  void read_ahead(const Tensor& tensor) override { part_.read_ahead(tensor); }
  // Throws InvalidFile when the part has tensors that nobody asked for and nobody ignores: a layout
  // that is understood by half must not load.
  void throw_if_unused() const;

 private:
  const CheckpointPart& part_;
  std::set<std::string, std::less<>> used_;
  std::vector<std::string> ignored_;
};

}  // namespace zimage
