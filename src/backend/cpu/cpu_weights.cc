// The loading of weights: rows as they are stored become panels (kernels.h), numbers unchanged.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "backend/cpu/conv3x3.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/parallel.h"
#include "base/error.h"
#include "base/float16.h"

namespace zimage {
namespace {

using cpu::Kernels;
using cpu::PanelFormat;

constexpr std::size_t kMostLanes = 16;

std::size_t as_size(std::int64_t extent) {
  return static_cast<std::size_t>(extent);
}
std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

// The type that holds every part exactly: the common one, or f32.
DType stacked_dtype(std::span<const Tensor> parts) {
  for (const Tensor& part : parts) {
    if (part.dtype != parts[0].dtype) return DType::F32;
  }
  return parts[0].dtype;
}

// Rows of several tensors, one after another, in one type.
class StackedRows {
 public:
  explicit StackedRows(std::span<const Tensor> parts) : parts_(parts.begin(), parts.end()) {
    const DType dtype = stacked_dtype(parts);
    widened_.reserve(parts.size());
    for (Tensor& part : parts_) {
      if (part.dtype != dtype) part = widen(part);
    }
  }

  const void* row(std::size_t index) const {
    for (const Tensor& part : parts_) {
      const std::size_t rows = as_size(part.dim(0));
      if (index < rows) {
        return static_cast<const std::byte*>(part.data) +
               index * as_size(part.dim(1)) * size_of(part.dtype);
      }
      index -= rows;
    }
    return nullptr;
  }

 private:
  Tensor widen(const Tensor& part) {
    std::vector<float>& values = widened_.emplace_back(as_size(part.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint16_t half = 0;
      std::memcpy(&half, static_cast<const std::byte*>(part.data) + 2 * i, sizeof(half));
      values[i] = part.dtype == DType::F16 ? f16_to_float(half) : bf16_to_float(half);
    }
    return {values.data(), DType::F32, part.shape};
  }

  std::vector<Tensor> parts_;
  std::vector<std::vector<float>> widened_;
};

// Packs every panel. `gate_rows` is the number of gate rows for GateUp, 0 otherwise.
struct PanelLoader {
  const Kernels& kernels;
  const StackedRows& rows;
  std::size_t out;
  std::size_t gate_rows;
  std::size_t depth;
  DType dtype;  // of the rows
  cpu::PanelFormat format;
  std::byte* data;

  void load(std::size_t panel) const {
    const std::size_t lanes = kernels.lanes;
    const void* sources[2 * kMostLanes];
    for (std::size_t j = 0; j < 2 * lanes; ++j) {
      if (gate_rows == 0) {
        sources[j] = rows.row(panel * 2 * lanes + j);
      } else {
        const std::size_t row = panel * lanes + j % lanes;
        const std::size_t base = j < lanes ? 0 : gate_rows;
        sources[j] = row < gate_rows ? rows.row(base + row) : nullptr;
      }
    }
    kernels.pack_panel({.panel = data + panel * cpu::panel_bytes(format, lanes, depth),
                        .rows = sources,
                        .depth = depth,
                        .format = format,
                        .source = cpu::panel_format_of(dtype)});
  }
};

}  // namespace

// The form of a matrix whose numbers are of type `stored`.
PanelFormat CpuBackend::format_of(MatrixRole role, DType stored) const {
  if (role != MatrixRole::Plain && encoding_ == Encoding::Fast) return fast_;
  if (role != MatrixRole::Plain && encoding_ == Encoding::Bf16) return PanelFormat::Bf16Pairs;
  return cpu::panel_format_of(stored);
}

Weight CpuBackend::do_load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role) {
  std::int64_t out = 0;
  for (const Tensor& part : parts) out += part.dim(0);
  const std::int64_t in = parts[0].dim(1);
  if (in == 0) {
    throw Error(ErrorCode::InvalidArgument, "load_matrix: part is " + to_string(parts[0].shape) +
                                                ", expected at least one column");
  }
  const bool gate_up = role == MatrixRole::GateUp;
  Weight weight{.out = out, .in = in, .dtype = stacked_dtype(parts)};
  const PanelFormat format = format_of(role, weight.dtype);
  weight.layout = static_cast<std::uint8_t>((gate_up ? cpu::kGateUpPanels : cpu::kPanels) +
                                            cpu::kFormatUnit * static_cast<int>(format));
  const std::size_t lanes = kernels_.lanes;
  const std::size_t panels =
      gate_up ? ceil_div(as_size(out) / 2, lanes) : ceil_div(as_size(out), 2 * lanes);
  weight.data = slab.allocate(panels * cpu::panel_bytes(format, lanes, as_size(in)));
  if (slab.measuring()) return weight;
  const StackedRows rows(parts);
  const PanelLoader loader{.kernels = kernels_,
                           .rows = rows,
                           .out = as_size(out),
                           .gate_rows = gate_up ? as_size(out) / 2 : 0,
                           .depth = as_size(in),
                           .dtype = weight.dtype,
                           .format = format,
                           .data = static_cast<std::byte*>(weight.data)};
  cpu::parallel_for(threads_, panels,
                    [&](std::size_t panel, std::size_t /*thread*/) { loader.load(panel); });
  return weight;
}

Weight CpuBackend::do_load_kernel(Arena& slab, const Tensor& kernel) {
  if (kernel.dim(2) == 3) {
    Weight weight{.out = kernel.dim(0), .in = kernel.dim(1), .kernel = 3, .dtype = kernel.dtype};
    weight.layout = cpu::kConv3x3;
    weight.data = slab.allocate(cpu::conv3x3_weight_bytes(weight.out, weight.in));
    if (!slab.measuring()) cpu::pack_conv3x3(weight.data, kernel, threads_);
    return weight;
  }
  if (kernel.dim(2) != 1) return ReferenceBackend::do_load_kernel(slab, kernel);
  const Tensor matrix = kernel.reshaped({kernel.dim(0), kernel.dim(1)});
  return do_load_matrix(slab, std::span(&matrix, 1), MatrixRole::Linear);
}

}  // namespace zimage
