// Lists the backends of this build and this machine.
#include "backend/backends.h"

#include "backend/cpu/cpu_backend.h"

#ifdef ZIMAGE_CUDA
#include "backend/cuda/cuda_backend.h"
#endif

namespace zimage {

std::vector<BackendCase> conformance_backends() {
  std::vector<BackendCase> backends;
  for (const cpu::Isa isa : cpu::available_isas()) {
    for (const int threads : {1, 3}) {
      const std::string name =
          "cpu_" + std::string(cpu::name_of(isa)) + "_" + std::to_string(threads);
      backends.push_back({name, [=] {
                            return std::make_unique<CpuBackend>(
                                CpuOptions{.threads = threads, .isa = isa});
                          }});
    }
  }
#ifdef ZIMAGE_CUDA
  if (cuda_device_count() > 0) {
    backends.push_back({"cuda_bf16", [] { return make_cuda_backend(0, {}); }});
    backends.push_back({"cuda_bf16_portable", [] {
                          CudaOptions options;
                          options.hopper_kernels = false;
                          return make_cuda_backend(0, options);
                        }});
    backends.push_back({"cuda_f32", [] {
                          CudaOptions options;
                          options.activations = DType::F32;
                          return make_cuda_backend(0, options);
                        }});
  }
#endif
  return backends;
}

}  // namespace zimage
