// Lists the backends of this build and this machine.
#include "backend/backends.h"

#include "backend/cpu/cpu_backend.h"

#ifdef ZIMAGE_CUDA
#include "backend/cuda/cuda_backend.h"
#endif

namespace zimage {
namespace {

BackendCase cpu_case(const std::string& name, int threads, const cpu::KernelChoice& kernels) {
  return {"cpu_" + name + "_" + std::to_string(threads), [=] {
            return std::make_unique<CpuBackend>(CpuOptions{.threads = threads, .kernels = kernels});
          }};
}

// Every instruction set alone, with bf16 panels widened in registers and in memory first; and,
// where there are several, each kind of operation by another than its neighbour.
void add_cpu(std::vector<BackendCase>& backends) {
  const std::vector<cpu::Isa> isas = cpu::available_isas();
  for (const cpu::Isa isa : isas) {
    cpu::KernelChoice kernels = cpu::only(isa);
    const std::string name(cpu::name_of(isa));
    kernels.widen = false;
    for (const int threads : {1, 3}) backends.push_back(cpu_case(name, threads, kernels));
    kernels.widen = true;
    backends.push_back(cpu_case(name + "_widen", 3, kernels));
  }
  if (isas.size() == 1) return;
  backends.push_back(cpu_case(
      "mixed", 3,
      {.products = isas[0], .attention = isas[1], .convolutions = isas[0], .rows = isas[1]}));
}

}  // namespace

std::vector<BackendCase> conformance_backends() {
  std::vector<BackendCase> backends;
  add_cpu(backends);
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
