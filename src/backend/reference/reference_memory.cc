// Memory and weights of the reference backend: host blocks, every weight widened to f32 in row
// order.
#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "backend/reference/reference_backend.h"
#include "base/error.h"
#include "base/float16.h"
#include "base/process_memory.h"

namespace zimage {
namespace {

// Copies a host tensor of any float type to f32.
void widen(float* out, const Tensor& x) {
  const std::int64_t n = x.elements();
  switch (x.dtype) {
    case DType::F32: std::memcpy(out, x.data, x.bytes()); return;
    case DType::F16:
      std::transform(x.as<std::uint16_t>(), x.as<std::uint16_t>() + n, out, f16_to_float);
      return;
    case DType::BF16:
      std::transform(x.as<std::uint16_t>(), x.as<std::uint16_t>() + n, out, bf16_to_float);
      return;
    default: throw Error(ErrorCode::Unsupported, "cannot widen " + std::string(name_of(x.dtype)));
  }
}

// Calls the function again; the reference backend captures nothing.
class CallAgain final : public Recording {
 public:
  explicit CallAgain(std::function<void()> enqueue) : enqueue_(std::move(enqueue)) {}
  void replay() override { enqueue_(); }

 private:
  std::function<void()> enqueue_;
};

}  // namespace

std::unique_ptr<Recording> ReferenceBackend::record(std::function<void()> enqueue) {
  return std::make_unique<CallAgain>(std::move(enqueue));
}

std::size_t ReferenceBackend::available_memory() const {
  return zimage::available_memory();
}

std::size_t ReferenceBackend::memory_in_use() const {
  return resident_memory();
}

void* ReferenceBackend::do_allocate(std::size_t bytes) {
  void* data = ::operator new(bytes, std::align_val_t{Arena::kAlignment}, std::nothrow);
  if (data == nullptr)
    throw Error(ErrorCode::OutOfMemory, "cannot allocate " + std::to_string(bytes) + " bytes");
  return data;
}

void ReferenceBackend::do_free(void* data, std::size_t /*bytes*/) noexcept {
  ::operator delete(data, std::align_val_t{Arena::kAlignment});
}

void ReferenceBackend::do_upload(const Tensor& out, const void* source) {
  std::memcpy(out.data, source, out.bytes());
}

void ReferenceBackend::do_download(void* target, const Tensor& x) {
  std::memcpy(target, x.data, x.bytes());
}

void ReferenceBackend::do_copy(const Tensor& out, const Tensor& x) {
  std::memcpy(out.data, x.data, x.bytes());
}

Weight ReferenceBackend::do_load_matrix(Arena& slab, std::span<const Tensor> parts,
                                        MatrixRole /*role*/) {
  const std::int64_t in = parts[0].dim(1);
  std::int64_t out = 0;
  for (const Tensor& part : parts) out += part.dim(0);
  const Tensor rows = slab.make(DType::F32, {out, in});
  if (!slab.measuring()) {
    float* target = rows.as<float>();
    for (const Tensor& part : parts) {
      widen(target, part);
      target += part.elements();
    }
  }
  return {.data = rows.data, .out = out, .in = in};
}

Weight ReferenceBackend::do_load_kernel(Arena& slab, const Tensor& kernel) {
  const Tensor values = slab.make(DType::F32, kernel.shape);
  if (!slab.measuring()) widen(values.as<float>(), kernel);
  return {.data = values.data, .out = kernel.dim(0), .in = kernel.dim(1), .kernel = kernel.dim(2)};
}

Tensor ReferenceBackend::do_load_vector(Arena& slab, std::span<const Tensor> parts) {
  std::int64_t n = 0;
  for (const Tensor& part : parts) n += part.elements();
  const Tensor out = slab.make(DType::F32, {n});
  if (slab.measuring()) return out;
  float* target = out.as<float>();
  for (const Tensor& part : parts) {
    widen(target, part);
    target += part.elements();
  }
  return out;
}

}  // namespace zimage
