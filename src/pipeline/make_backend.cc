// The only file that knows which backends there are.
#include "pipeline/make_backend.h"

#include <charconv>

#include "backend/cpu/cpu_backend.h"
#include "backend/reference/reference_backend.h"
#include "base/error.h"
#include "pipeline/pipeline.h"
#ifdef ZIMAGE_CUDA
#include "backend/cuda/cuda_backend.h"
#endif

namespace zimage {
namespace {

#ifdef ZIMAGE_CUDA
std::unique_ptr<Backend> make_cuda(int index) {
  return make_cuda_backend(index, {});
}
#else
std::unique_ptr<Backend> make_cuda(int /*index*/) {
  throw Error(ErrorCode::Unsupported,
              "device \"cuda\": this build has no CUDA backend; configure with the preset "
              "\"cuda\", or use \"cpu\"");
}
#endif

// The N of "cuda:N"; 0 for "cuda".
int cuda_index(const std::string& device) {
  if (device == "cuda") return 0;
  int index = -1;
  const char* begin = device.data() + 5;
  const char* end = device.data() + device.size();
  const auto [stop, error] = std::from_chars(begin, end, index);
  if (error != std::errc() || stop != end || index < 0) {
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

std::unique_ptr<Backend> make_backend(const std::string& device, int threads) {
  if (device == "reference") return std::make_unique<ReferenceBackend>();
  if (device == "cpu") return std::make_unique<CpuBackend>(CpuOptions{.threads = threads});
  if (device == "cuda" || device.starts_with("cuda:")) return make_cuda(cuda_index(device));
  if (device == "auto") {
#ifdef ZIMAGE_CUDA
    if (cuda_device_count() > 0) return make_cuda(0);
#endif
    return std::make_unique<CpuBackend>(CpuOptions{.threads = threads});
  }
  throw Error(ErrorCode::InvalidArgument,
              "device is \"" + device + "\", expected auto, cpu, cuda, cuda:N or reference");
}

}  // namespace zimage
