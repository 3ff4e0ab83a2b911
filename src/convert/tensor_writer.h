// Planned tensors become the bytes of their file, a few rows at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>

#include "checkpoint/checkpoint.h"
#include "convert/pending_output.h"
#include "convert/planned_file.h"

namespace zimage {

// Writes the files of one part. Rows are encoded on several threads; the result does not depend on
// their number.
class TensorWriter {
 public:
  // `advance` is told of every few megabytes written. `part` must outlive this.
  TensorWriter(const CheckpointPart& part, int threads,
               std::function<void(std::uint64_t bytes)> advance, std::stop_token stop);

  // Throws Io, Numerics (naming the tensor) for NaN or infinity that is to be quantized, and
  // Cancelled.
  void write(NewFile& out, const PlannedFile& file);

 private:
  void write_tensor(NewFile& out, const PlannedTensor& tensor, float scale);
  float fp8_scale_of(const PlannedTensor& tensor);
  // Calls `take` with pieces of rows of the tensor's sources, in order.
  void for_pieces(const PlannedTensor& tensor,
                  const std::function<void(const HostTensor& piece)>& take);
  [[noreturn]] void refuse_numbers(const PlannedTensor& tensor) const;

  const CheckpointPart& part_;
  int threads_;
  std::function<void(std::uint64_t)> advance_;
  std::stop_token stop_;
};

}  // namespace zimage
