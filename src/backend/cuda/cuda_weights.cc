// Weights from host memory into slabs, in the form that the operations compute with.
#include <algorithm>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/operands.h"
#include "base/error.h"

namespace zimage::cuda {

void CudaBackend::upload_rows(const Tensor& source,
                              const std::function<void(const Tensor&, std::int64_t)>& place) {
  static_cast<void>(start());
  const std::int64_t rows = source.dim(0);
  if (source.elements() == 0) return;
  const std::size_t row_bytes = source.bytes() / static_cast<std::size_t>(rows);
  if (row_bytes > Uploader::kSlotBytes) {
    throw Error(ErrorCode::Unsupported, "cuda: a weight's row of " + std::to_string(row_bytes) +
                                            " bytes exceeds " +
                                            std::to_string(Uploader::kSlotBytes));
  }
  const auto step = static_cast<std::int64_t>(Uploader::kSlotBytes / row_bytes);
  for (std::int64_t first = 0; first < rows; first += step) {
    Tensor piece = source.rows(first, std::min(rows, first + step));
    uploader_->stage(piece.data, piece.bytes(), [&](void* device) {
      piece.data = device;
      place(piece, first);
    });
  }
}

Weight CudaBackend::do_load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role) {
  const std::int64_t in = parts[0].dim(1);
  std::int64_t out = 0;
  for (const Tensor& part : parts) out += part.dim(0);
  const bool fp8 = role != MatrixRole::Plain && takes_fp8(out, in);
  const Tensor matrix = slab.make(fp8 ? DType::U8 : options_.activations, {out, in});
  if (fp8) {
    static_cast<void>(slab.make(DType::F32, {out}));  // scales
    static_cast<void>(slab.make(DType::F32, {1}));    // the longest row
  }
  const Weight weight{.data = matrix.data, .out = out, .in = in, .dtype = matrix.dtype};
  if (!slab.measuring()) {
    if (fp8)
      check_cuda(cudaMemsetAsync(fp8_matrix_of(weight).longest, 0, sizeof(unsigned), start()));
    std::int64_t begin = 0;
    int index = 0;
    for (const Tensor& part : parts) {
      const bool interleave = role == MatrixRole::GateUp;
      if (!interleave && part.dtype == matrix.dtype) {
        static_cast<void>(start());
        uploader_->copy(matrix.rows(begin, begin + part.dim(0)).data, part.data, part.bytes());
      } else {
        upload_rows(part, [&](const Tensor& piece, std::int64_t first) {
          const kernels::RowPlacement placement =
              interleave ? kernels::RowPlacement{first, index, part.dim(0)}
                         : kernels::RowPlacement{begin + first, -1, 0};
          if (fp8) {
            kernels::quantize_rows(fp8_matrix_of(weight), piece, placement, stream_);
          } else {
            kernels::place_rows(matrix, piece, placement, stream_);
          }
        });
      }
      begin += part.dim(0);
      ++index;
    }
  }
  return weight;
}

Weight CudaBackend::do_load_kernel(Arena& slab, const Tensor& kernel) {
  const std::int64_t side = kernel.dim(2);
  const Tensor target = slab.make(options_.activations, {kernel.dim(0), side, side, kernel.dim(1)});
  if (!slab.measuring()) {
    upload_rows(kernel, [&](const Tensor& piece, std::int64_t first) {
      kernels::place_kernel(target.rows(first, first + piece.dim(0)), piece, stream_);
    });
  }
  return {.data = target.data,
          .out = kernel.dim(0),
          .in = kernel.dim(1),
          .kernel = side,
          .dtype = target.dtype};
}

Tensor CudaBackend::do_load_vector(Arena& slab, std::span<const Tensor> parts) {
  std::int64_t n = 0;
  for (const Tensor& part : parts) n += part.elements();
  const Tensor vector = slab.make(DType::F32, {n});
  if (slab.measuring()) return vector;
  std::int64_t begin = 0;
  for (const Tensor& part : parts) {
    upload_rows(part.reshaped({part.elements()}), [&](const Tensor& piece, std::int64_t first) {
      kernels::convert(vector.slice(begin + first, begin + first + piece.elements()), piece,
                       stream_);
    });
    begin += part.elements();
  }
  return vector;
}

}  // namespace zimage::cuda
