// The only file that knows which backends there are.
#include "pipeline/make_backend.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "backend/cpu/cpu_backend.h"
#include "backend/reference/reference_backend.h"
#include "base/error.h"
#include "base/quote.h"
#include "pipeline/pipeline.h"
#ifdef ZIMAGE_CUDA
#include "backend/cuda/cuda_backend.h"
#endif

namespace zimage {
namespace {

#ifdef ZIMAGE_CUDA
[[noreturn]] void refuse(const std::string& precision, const char* device, const char* expected) {
  throw Error(ErrorCode::Unsupported, "precision \"" + precision + "\": device \"" + device +
                                          "\" does not have it, expected " + expected);
}

std::unique_ptr<Backend> make_cuda(int index, const std::string& precision) {
  if (precision == "fast") refuse(precision, "cuda", "auto, exact or bf16");
  CudaOptions options;
  if (precision == "exact") options.activations = DType::F32;
  return make_cuda_backend(index, options);
}
#else
std::unique_ptr<Backend> make_cuda(int /*index*/, const std::string& /*precision*/) {
  throw Error(ErrorCode::Unsupported,
              "device \"cuda\": this build has no CUDA backend; configure with the preset "
              "\"cuda\", or use \"cpu\"");
}
#endif

std::unique_ptr<Backend> make_cpu(const BackendOptions& options) {
  return std::make_unique<CpuBackend>(
      CpuOptions{.threads = options.threads, .isa = cpu::isa_from_name(options.cpu_kernel)});
}

// The N of "cuda:N"; 0 for "cuda".
int cuda_index(const std::string& device) {
  if (device == "cuda") return 0;
  int index = -1;
  const char* begin = device.data() + 5;
  const char* end = device.data() + device.size();
  const auto [stop, error] = std::from_chars(begin, end, index);
  // "-0" is no number of a card, though from_chars reads 0.
  if (error != std::errc() || stop != end || device[5] == '-') {
    throw Error(ErrorCode::InvalidArgument,
                "device is \"" + device + "\", expected cuda:N with N from 0");
  }
  return index;
}

}  // namespace

std::vector<std::string> available_devices() {
  std::vector<std::string> devices{"cpu"};
#ifdef ZIMAGE_CUDA
  for (int i = 0; i < cuda_device_count(); ++i) devices.push_back("cuda:" + std::to_string(i));
#endif
  return devices;
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  const std::string& device = options.device;
  constexpr std::array<std::string_view, 4> kPrecisions = {"auto", "exact", "bf16", "fast"};
  if (std::find(kPrecisions.begin(), kPrecisions.end(), options.precision) == kPrecisions.end()) {
    throw Error(ErrorCode::InvalidArgument, "precision is " + quote(options.precision) +
                                                ", expected auto, exact, bf16 or fast");
  }
  static_cast<void>(cpu::isa_from_name(options.cpu_kernel));  // throws for other names
  if (device == "reference") return std::make_unique<ReferenceBackend>();
  if (device == "cpu") return make_cpu(options);
  if (device == "cuda" || device.starts_with("cuda:"))
    return make_cuda(cuda_index(device), options.precision);
  if (device == "auto") {
#ifdef ZIMAGE_CUDA
    if (cuda_device_count() > 0) return make_cuda(0, options.precision);
#endif
    return make_cpu(options);
  }
  throw Error(ErrorCode::InvalidArgument,
              "device is \"" + device + "\", expected auto, cpu, cuda, cuda:N or reference");
}

}  // namespace zimage
