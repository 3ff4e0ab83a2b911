// Feature maps [H, W, C]: patches for convolutions as matrix products, nearest upsampling.
#include <type_traits>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/kernels/vector_io.cuh"

namespace zimage::cuda::kernels {
namespace {

constexpr int kThreads = 256;

struct Geometry {
  std::int64_t height;  // of the map as the kernel sees it, upsampled where asked
  std::int64_t width;
  std::int64_t channels;
  std::int64_t kernel;
  std::int64_t first_row;
  std::int64_t factor;
  std::int64_t step;  // between the pixels that have patches, of which each ends one
};

// One thread kWide channels of one tap of one pixel.
template <typename Wide>
__global__ void patches_kernel(Wide* out, const Wide* x, std::int64_t n, Geometry g) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  const std::int64_t channel = i % g.channels;
  const std::int64_t tap = i / g.channels % (g.kernel * g.kernel);
  const std::int64_t pixel = i / g.channels / (g.kernel * g.kernel);
  const std::int64_t columns = g.width / g.step;
  const std::int64_t middle = g.step - 1 - g.kernel / 2;
  const std::int64_t row = (g.first_row + pixel / columns) * g.step + tap / g.kernel + middle;
  const std::int64_t column = pixel % columns * g.step + tap % g.kernel + middle;
  Wide value{};
  if (row >= 0 && row < g.height && column >= 0 && column < g.width) {
    value = x[(row / g.factor * (g.width / g.factor) + column / g.factor) * g.channels + channel];
  }
  out[i] = value;
}

template <typename Wide>
__global__ void upsample_kernel(Wide* out, const Wide* x, std::int64_t n, std::int64_t width,
                                std::int64_t channels) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  const std::int64_t pixel = i / channels;
  out[i] = x[(pixel / width / 2 * (width / 2) + pixel % width / 2) * channels + i % channels];
}

// Calls f with a null pointer of the widest element that divides a pixel: copies do not look
// inside.
template <typename F>
void with_width(const Tensor& out, const Tensor& x, F&& f) {
  const std::int64_t pixel = x.dim(2) * static_cast<std::int64_t>(size_of(x.dtype));
  if (pixel % 16 == 0 && aligned(out) && aligned(x)) {
    f(static_cast<uint4*>(nullptr));
  } else if (x.dtype == DType::F32) {
    f(static_cast<std::uint32_t*>(nullptr));
  } else {
    f(static_cast<std::uint16_t*>(nullptr));
  }
}

}  // namespace

void gather_patches(const Tensor& out, const Tensor& x, const PatchShape& shape,
                    cudaStream_t stream) {
  const std::int64_t factor = shape.upsample_2x ? 2 : 1;
  if (out.elements() == 0) return;
  with_width(out, x, [&](auto* type) {
    using Wide = std::remove_pointer_t<decltype(type)>;
    const std::int64_t wide = static_cast<std::int64_t>(sizeof(Wide) / size_of(x.dtype));
    const Geometry geometry{x.dim(0) * factor,
                            x.dim(1) * factor,
                            x.dim(2) / wide,
                            shape.kernel,
                            shape.first_row,
                            factor,
                            shape.downsample_2x ? 2 : 1};
    const std::int64_t n = out.elements() / wide;
    patches_kernel<<<blocks_for(n, kThreads), kThreads, 0, stream>>>(
        static_cast<Wide*>(out.data), static_cast<const Wide*>(x.data), n, geometry);
  });
  check_launch();
}

void upsample_2x(const Tensor& out, const Tensor& x, cudaStream_t stream) {
  if (out.elements() == 0) return;
  with_width(out, x, [&](auto* type) {
    using Wide = std::remove_pointer_t<decltype(type)>;
    const std::int64_t wide = static_cast<std::int64_t>(sizeof(Wide) / size_of(x.dtype));
    const std::int64_t n = out.elements() / wide;
    upsample_kernel<<<blocks_for(n, kThreads), kThreads, 0, stream>>>(
        static_cast<Wide*>(out.data), static_cast<const Wide*>(x.data), n, out.dim(1),
        x.dim(2) / wide);
  });
  check_launch();
}

}  // namespace zimage::cuda::kernels
