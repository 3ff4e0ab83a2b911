// The device, its memory and recordings.
#include "backend/cuda/cuda_device.h"

#include <algorithm>
#include <array>
#include <utility>

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/host_slabs.h"
#include "backend/cuda/kernels/kernels.h"
#include "base/error.h"
#include "base/log.h"
#include "base/measured_choices.h"

namespace zimage {

namespace cuda {

// A captured graph, ready to launch.
class GraphRecording final : public Recording {
 public:
  GraphRecording(CudaBackend& backend, cudaGraph_t graph) : backend_(backend) {
    check_cuda(cudaGraphInstantiate(&graph_, graph, 0));
  }
  ~GraphRecording() override { static_cast<void>(cudaGraphExecDestroy(graph_)); }

  void replay() override { check_cuda(cudaGraphLaunch(graph_, backend_.start())); }

 private:
  CudaBackend& backend_;
  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace cuda

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  static_cast<void>(cudaGetLastError());
  return 0;
}

std::unique_ptr<Backend> make_cuda_backend(int device, const CudaOptions& options) {
  return std::make_unique<cuda::CudaBackend>(device, options);
}

namespace cuda {
namespace {

// What a context takes with the code of this program and of cuBLASLt, about as nvidia-smi counts it
// on an H100.
constexpr std::size_t kContextBytes = std::size_t{560} << 20;

// The file of measured choices for this card and library; empty for none.
std::filesystem::path cache_file(const std::filesystem::path& folder, const std::string& card) {
  const std::filesystem::path base = folder.empty() ? choices_folder() : folder;
  if (base.empty()) return {};
  return base /
         ("products-" + file_name_part(card) + "-" + std::to_string(cublasLtGetVersion()) + ".txt");
}

// The least time of some runs of what `enqueue` puts on the stream.
double least_seconds(cudaStream_t stream, const std::function<void()>& enqueue) {
  std::array<cudaEvent_t, 11> events{};
  for (cudaEvent_t& event : events) check_cuda(cudaEventCreate(&event));
  enqueue();
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (i > 0) enqueue();
    check_cuda(cudaEventRecord(events[i], stream));
  }
  check_cuda(cudaStreamSynchronize(stream));
  float least = 0;
  for (std::size_t i = 1; i < events.size(); ++i) {
    float elapsed = 0;
    check_cuda(cudaEventElapsedTime(&elapsed, events[i - 1], events[i]));
    least = i == 1 ? elapsed : std::min(least, elapsed);
  }
  for (const cudaEvent_t event : events) static_cast<void>(cudaEventDestroy(event));
  return static_cast<double>(least) / 1e3;
}

std::string gibibytes(std::size_t bytes) {
  const std::size_t tenths = (bytes * 10 + (std::size_t{1} << 29)) >> 30;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

}  // namespace

CudaBackend::CudaBackend(int device, const CudaOptions& options)
    : device_(device), options_(options) {
  int count = 0;
  check_cuda(cudaGetDeviceCount(&count));
  if (device < 0 || device >= count) {
    throw Error(ErrorCode::InvalidArgument, "cuda: device " + std::to_string(device) +
                                                " does not exist; this process sees " +
                                                std::to_string(count));
  }
  if (options.activations != DType::BF16 && options.activations != DType::F32) {
    throw Error(ErrorCode::InvalidArgument, "cuda: activations are " +
                                                std::string(name_of(options.activations)) +
                                                ", expected bf16 or f32");
  }
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device));
  const std::string name = properties.name;
  const std::string architecture =
      std::to_string(properties.major) + "." + std::to_string(properties.minor);
  if (properties.major < 8) {
    throw Error(ErrorCode::Unsupported, "cuda: " + name + " has compute capability " +
                                            architecture + ", expected 8.0 or newer");
  }
  hopper_ = options.hopper_kernels && properties.major == 9 && options.activations == DType::BF16;
  fp8_ = properties.major == 9 && options.activations == DType::BF16;
  description_ = "cuda: " + name + ", " + gibibytes(properties.totalGlobalMem) +
                 ", compute capability " + architecture + ", " +
                 std::string(name_of(options.activations));
  check_cuda(cudaSetDevice(device));
  check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  processors_ = properties.multiProcessorCount;
  check_cuda(cudaMalloc(reinterpret_cast<void**>(&counters_),
                        kernels::kAttentionCounters * sizeof(unsigned)));
  check_cuda(cudaMalloc(reinterpret_cast<void**>(&greatest_value_), sizeof(unsigned)));
  if (properties.major == 9) {
    const std::size_t counters = kernels::kGemmCounters * sizeof(unsigned);
    check_cuda(
        cudaMalloc(reinterpret_cast<void**>(&gemm_memory_.partial), kernels::gemm_partial_bytes()));
    check_cuda(cudaMalloc(reinterpret_cast<void**>(&gemm_memory_.counters), counters));
    check_cuda(cudaMemsetAsync(gemm_memory_.counters, 0, counters, stream_));
    allocated_ += kernels::gemm_partial_bytes();
  }
  check_cuda(
      cudaMemsetAsync(counters_, 0, kernels::kAttentionCounters * sizeof(unsigned), stream_));
  uploader_ = std::make_unique<Uploader>(stream_);
  // In f32 the same bytes count more than the last percent: what is fastest differs from start to
  // start, and with it the order of the sums.
  matmul_ = std::make_unique<Matmul>(
      MatmulOptions{.cache = cache_file(options.cache, name),
                    .hopper = hopper_,
                    .tune = options.tune && options.activations == DType::BF16});
}

CudaBackend::~CudaBackend() {
  static_cast<void>(cudaSetDevice(device_));
  static_cast<void>(cudaStreamSynchronize(stream_));
  uploader_.reset();
  matmul_.reset();
  static_cast<void>(cudaFree(scratch_));
  static_cast<void>(cudaFree(counters_));
  static_cast<void>(cudaFree(greatest_value_));
  static_cast<void>(cudaFree(gemm_memory_.partial));
  static_cast<void>(cudaFree(gemm_memory_.counters));
  static_cast<void>(cudaStreamDestroy(stream_));
}

cudaStream_t CudaBackend::queue() const {
  check_cuda(cudaSetDevice(device_));
  return stream_;
}

cudaStream_t CudaBackend::start() {
  const cudaStream_t stream = queue();
  flush();
  quantized_.reset();
  bounded_ = {};
  return stream;
}

std::size_t CudaBackend::available_memory() const {
  static_cast<void>(queue());
  std::size_t free = 0;
  std::size_t total = 0;
  check_cuda(cudaMemGetInfo(&free, &total));
  return free;
}

std::size_t CudaBackend::memory_in_use() const {
  return kContextBytes + Matmul::kWorkspaceBytes + Uploader::kDeviceBytes + allocated_;
}

std::unique_ptr<HostSlabs> CudaBackend::make_host_slabs() {
  return std::make_unique<PinnedSlabs>(*this);
}

void CudaBackend::set_encoding(Encoding encoding) {
  if (encoding == Encoding::Fp8 && !fp8_) {
    throw Error(ErrorCode::Unsupported,
                "encoding fp8: " + description_ +
                    " does not have it; it needs compute capability 9.0 and bf16");
  }
  encoding_ = encoding;
}

void CudaBackend::synchronize() {
  static_cast<void>(queue());
  flush();
  check_cuda(cudaStreamSynchronize(stream_));
}

void* CudaBackend::do_allocate(std::size_t bytes) {
  static_cast<void>(queue());
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, std::max<std::size_t>(bytes, 1));
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // not a fault of the device
    std::size_t free = 0;
    std::size_t total = 0;
    check_cuda(cudaMemGetInfo(&free, &total));
    throw Error(ErrorCode::OutOfMemory, "cuda: " + gibibytes(bytes) + " asked for, " +
                                            gibibytes(free) + " of " + gibibytes(total) +
                                            " are free on device " + std::to_string(device_));
  }
  check_cuda(status);
  allocated_ += bytes;
  return data;
}

void CudaBackend::do_free(void* data, std::size_t bytes) noexcept {
  if (data != nullptr) allocated_ -= bytes;
  try {
    static_cast<void>(queue());
    flush();                     // it may use this memory
    check_cuda(cudaFree(data));  // waits for every stream
  } catch (const std::exception& error) {
    // A lost device refuses to free anything: one word about it is enough.
    if (!std::exchange(free_failed_, true)) log(LogLevel::Warning, error.what());
  }
}

void CudaBackend::do_upload(const Tensor& out, const void* source) {
  static_cast<void>(start());
  uploader_->copy(out.data, source, out.bytes());
}

void CudaBackend::do_download(void* target, const Tensor& x) {
  static_cast<void>(queue());
  flush();
  uploader_->fetch(target, x.data, x.bytes());
  check_cuda(cudaStreamSynchronize(stream_));
}

void CudaBackend::do_copy(const Tensor& out, const Tensor& x) {
  check_cuda(cudaMemcpyAsync(out.data, x.data, x.bytes(), cudaMemcpyDeviceToDevice, start()));
}

Rates CudaBackend::measure_rates() {
  constexpr std::int64_t kSide = 8192;
  const DType dtype = options_.activations;
  const Tensor shape{nullptr, dtype, {kSide, kSide}};
  const Buffer a = allocate(shape.bytes());
  const Buffer b = allocate(shape.bytes());
  const Buffer c = allocate(shape.bytes());
  kernels::fill_noise({a.data(), dtype, shape.shape}, start());
  kernels::fill_noise({b.data(), dtype, shape.shape}, stream_);
  const MatmulShape product{.rows = kSide,
                            .columns = kSide,
                            .depth = kSide,
                            .x_stride = kSide,
                            .w_stride = kSide,
                            .out_stride = kSide,
                            .in = dtype,
                            .out = dtype};
  const double multiplied = least_seconds(
      stream_, [&] { matmul_->run(product, a.data(), b.data(), c.data(), 1.0F, stream_); });
  const double copied = least_seconds(stream_, [&] {
    check_cuda(
        cudaMemcpyAsync(c.data(), a.data(), shape.bytes(), cudaMemcpyDeviceToDevice, stream_));
    check_cuda(
        cudaMemcpyAsync(a.data(), b.data(), shape.bytes(), cudaMemcpyDeviceToDevice, stream_));
  });
  const PinnedBlock host(shape.bytes());
  const double transferred = least_seconds(stream_, [&] {
    check_cuda(
        cudaMemcpyAsync(c.data(), host.data(), host.bytes(), cudaMemcpyHostToDevice, stream_));
  });
  return {.flops = 2.0 * kSide * kSide * kSide / multiplied,
          .bandwidth = 4.0 * static_cast<double>(shape.bytes()) / copied,
          .transfer = static_cast<double>(host.bytes()) / transferred};
}

void CudaBackend::reserve_scratch(std::size_t bytes) {
  if (bytes <= scratch_bytes_) return;
  synchronize();
  quantized_.reset();
  do_free(std::exchange(scratch_, nullptr), std::exchange(scratch_bytes_, 0));
  scratch_ = do_allocate(bytes);
  scratch_bytes_ = bytes;
}

std::byte* CudaBackend::scratch(std::size_t bytes) {
  if (bytes > scratch_bytes_) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    check_cuda(cudaStreamIsCapturing(queue(), &status));
    if (status != cudaStreamCaptureStatusNone) {
      throw Error(ErrorCode::InvalidArgument, "cuda: a recording needs " + std::to_string(bytes) +
                                                  " bytes of scratch, " +
                                                  std::to_string(scratch_bytes_) + " are reserved");
    }
    reserve_scratch(bytes);
  }
  return static_cast<std::byte*>(scratch_);
}

std::unique_ptr<Recording> CudaBackend::record(std::function<void()> enqueue) {
  // Relaxed: a matrix product seen for the first time is measured on another stream meanwhile.
  check_cuda(cudaStreamBeginCapture(start(), cudaStreamCaptureModeRelaxed));
  cudaGraph_t graph = nullptr;
  try {
    enqueue();
    flush();
  } catch (...) {
    held_back_ = {};
    static_cast<void>(cudaStreamEndCapture(stream_, &graph));
    if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
    throw;
  }
  quantized_.reset();
  check_cuda(cudaStreamEndCapture(stream_, &graph));
  const auto destroy = [](cudaGraph_t g) { static_cast<void>(cudaGraphDestroy(g)); };
  const std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, decltype(destroy)> owner(graph,
                                                                                     destroy);
  return std::make_unique<GraphRecording>(*this, graph);
}

}  // namespace cuda
}  // namespace zimage
