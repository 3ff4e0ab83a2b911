// What a device can do: about twenty operations on views of its memory, in order, and the loading
// of weights into the form it computes with. Model code calls the public functions; each checks its
// arguments once and hands over to the backend's own do_ function.
//
// Layout everywhere: channels last, no batch axis. Tokens are [T, D], feature maps [H, W, C].
// Activations (`x`, `out`) have the backend's activation type or f32; vectors that scale, shift or
// gate are f32 [D].
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/tensor.h"

namespace zimage {

class Backend;

// Owns a block of a backend's memory. Move-only; the backend must outlive it.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Backend& backend, void* data, std::size_t bytes)
      : backend_(&backend), data_(data), bytes_(bytes) {}
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// A matrix or convolution kernel in the form its backend computes with. A view: the slab owns the
// bytes.
struct Weight {
  void* data = nullptr;      // layout private to the backend that loaded it
  std::int64_t out = 0;      // rows: output features or channels
  std::int64_t in = 0;       // columns: input features or channels
  std::int64_t kernel = 1;   // side of a convolution kernel; 1 for a matrix
  DType dtype = DType::F32;  // of the stored numbers
  std::uint8_t layout = 0;   // private to the backend

  bool empty() const { return data == nullptr; }
};

// How a matrix will be used, which decides how it is laid out.
enum class MatrixRole : std::uint8_t {
  Linear,  // for linear()
  GateUp,  // two equal parts, gate and up, for swiglu()
  Plain,   // for linear(), left out of the encoding: everything a network computes passes it
};

// How the large matrices of a network are stored and multiplied.
enum class Encoding : std::uint8_t {
  Plain,  // as the backend prefers
  Fp8,    // e4m3 with a scale for each row of weights and of activations
  Bf16,   // both rounded to bf16, where the backend prefers more exact products
  Fast,   // both rounded to integers of 12 or 8 bits, whichever the processor multiplies faster
};

enum class Activation : std::uint8_t { None, Silu };

enum class Pairing : std::uint8_t {
  Interleaved,  // element 2i turns with 2i + 1 (the transformer)
  HalfSplit,    // element i turns with i + head_dim / 2 (Qwen3)
};

// `feeds`, in the arguments of an operation: its `out` is read by one operation alone, which
// multiplies all of it by this matrix. A backend may then leave in out's memory what that product
// wants in place of the numbers. Absent for numbers.

struct LinearArgs {
  Tensor bias = {};                          // [out] f32, or absent
  Activation activation = Activation::None;  // applied after the bias
  bool accumulate = false;                   // add to what out holds, after the activation
};

struct SwigluArgs {
  const Weight* feeds = nullptr;
};

struct NormArgs {
  float eps = 0;
  Tensor scale = {};              // [D] f32, or absent for 0
  const Weight* feeds = nullptr;  // by rms_norm, whose out is then not x
};

struct GatedNormArgs {
  float eps = 0;
  Tensor gate = {};  // [D] f32 before its tanh, or absent for a factor of 1
};

struct RopeArgs {
  Tensor cos_sin = {};  // [T, head_dim / 2, 2] f32: cosine and sine of each pair's angle
  Pairing pairing = Pairing::Interleaved;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  float eps = 0;
};

struct AttentionArgs {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  float scale = 0;            // of the scores, usually head_dim^-0.5
  bool causal = false;        // row i of a segment sees rows 0..i of it
  std::int64_t segments = 1;  // equal runs of rows, each of which sees its own rows alone
  const Weight* feeds = nullptr;
};

struct ConvArgs {
  Tensor bias = {};          // [out] f32, or absent
  bool upsample_2x = false;  // read x as if each pixel were a 2x2 square: nearest upsampling, fused
  bool downsample_2x = false;  // keep the pixels of odd rows and columns alone: stride 2
  bool accumulate = false;     // add to what out holds
};

struct GroupNormArgs {
  std::int64_t groups = 0;
  float eps = 0;
  Activation activation = Activation::None;
  // [2, groups] f32, or absent: the mean and the variance of each group. Written, or with
  // `given` read in place of x's own.
  Tensor statistics = {};
  bool given = false;
};

// The best rates of the device, measured in this process.
struct Rates {
  double flops = 0;      // floating-point operations a second, in the type linear() computes in
  double encoded = 0;    // operations a second of the encoding that is set; 0 if that is Plain
  double bandwidth = 0;  // bytes a second read from memory
  double transfer = 0;   // bytes a second that HostSlabs copies to a device
};

// The operations whose scratch memory depends on their size.
enum class ScratchOp : std::uint8_t { Linear, Swiglu, Attention, Conv2d, GroupNorm };

// Where a backend's memory is.
enum class MemoryKind : std::uint8_t {
  Host,    // the process's own: a block counts as far as it has been written
  Device,  // a card's: a block counts at once, and apart from the process
};

// Slabs of weights in host memory, from where a device takes them again and again beside its work.
// Owns their memory; the backend that made it must outlive it.
class HostSlabs {
 public:
  HostSlabs() = default;
  virtual ~HostSlabs() = default;
  HostSlabs(const HostSlabs&) = delete;
  HostSlabs& operator=(const HostSlabs&) = delete;

  // Keeps what the first `bytes` at `slab` hold when everything enqueued has run. False, keeping
  // nothing, where host memory does not suffice. Precondition: not has(index).
  virtual bool keep(std::int64_t index, const Buffer& slab, std::size_t bytes) = 0;
  virtual bool has(std::int64_t index) const = 0;
  // Enqueues the copy to `slab`: behind everything enqueued so far, beside what is enqueued from
  // here on. Freeing the slab waits for it. Precondition: has(index).
  virtual void fetch(const Buffer& slab, std::int64_t index) = 0;
  // Everything enqueued from here on comes behind the last copy of `index`; later copies may still
  // be under way. Precondition: it was fetched.
  virtual void wait(std::int64_t index) = 0;
};

// What record() captured.
class Recording {
 public:
  Recording() = default;
  virtual ~Recording() = default;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // Enqueues the captured operations again, on the same addresses.
  virtual void replay() = 0;
};

// Everything is enqueued in call order and may finish later; download() and synchronize() wait.
// A mismatch of shapes or types throws InvalidArgument before any work. One thread at a time.
class Backend {
 public:
  Backend() = default;
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  // For people: "cpu: AVX2, 2 threads".
  virtual std::string description() const = 0;
  // The type of activations between operations: f32 on CPUs, bf16 on accelerators.
  virtual DType activation_dtype() const = 0;

  // --- Memory ---

  virtual MemoryKind memory_kind() const = 0;
  // Aligned to Arena::kAlignment, contents undefined. Throws OutOfMemory.
  Buffer allocate(std::size_t bytes) { return {*this, do_allocate(bytes), bytes}; }
  // Host memory to `out`; `source` may be reused when the call returns.
  void upload(const Tensor& out, const void* source) { do_upload(out, source); }
  // The same of f32 that `make` gives, which is not asked for it where nothing is computed.
  void upload(const Tensor& out, const std::function<std::vector<float>()>& make);
  // Waits for everything enqueued, then copies `x` to host memory.
  void download(void* target, const Tensor& x) { do_download(target, x); }
  // The numbers of an f32 tensor; none where nothing is computed.
  std::vector<float> download(const Tensor& x);
  // Same bytes, same type; the two must not overlap.
  void copy(const Tensor& out, const Tensor& x);
  virtual void synchronize() = 0;

  // Scratch this backend wants for one operation beyond out, x and the weight; constant scratch is
  // 0.
  virtual std::size_t scratch_bytes(ScratchOp /*op*/, const Tensor& /*out*/, const Tensor& /*x*/,
                                    const Weight& /*weight*/) const {
    return 0;
  }
  // Makes room for the largest scratch_bytes() of a run. Called before the run, never inside it.
  virtual void reserve_scratch(std::size_t /*bytes*/) {}

  // Takes about a second. Zeros where a backend has no measurement.
  virtual Rates measure_rates() { return {}; }

  // Captures what `enqueue` enqueues (without running it, where the backend can) for replay().
  // Inside: no allocation, no upload, no download, no host synchronisation.
  virtual std::unique_ptr<Recording> record(std::function<void()> enqueue) = 0;

  // False where operations are only counted: memory holds no number, and loads read none of the
  // tensors they are given.
  virtual bool computes() const { return true; }

  // Calls `work` with 0 to count - 1, each of which costs the same: where nothing is computed, one
  // call counts for all.
  virtual void repeat(std::int64_t count, const std::function<void(std::int64_t)>& work);

  // Bytes of memory that a new allocation could take now.
  virtual std::size_t available_memory() const = 0;
  // Bytes that are taken: by this process where memory is the host's, else by this backend and what
  // it allocated.
  virtual std::size_t memory_in_use() const = 0;
  // Null where weights need no copying, since the device computes in host memory.
  virtual std::unique_ptr<HostSlabs> make_host_slabs() { return nullptr; }

  // --- Weights: from host tensors of f32, f16 or bf16 into `slab` ---
  // A measuring slab gets the same allocations and no bytes, so that loading twice first measures,
  // then loads. Host memory may be unmapped when the call returns and synchronize() has.

  // Names the form in which loads leave weights in host memory: where names are equal, the same
  // tensors become the same bytes, in this program and in others. Empty where loaded weights are of
  // no use outside this backend.
  virtual std::string weight_layout() const { return {}; }

  // Is told, before each load, of how much host memory it reads: pages of files, and numbers that
  // were widened for it.
  virtual void count_source(std::size_t /*bytes*/) {}

  // For every load_matrix() from here on. Throws Unsupported where the backend has no such
  // encoding.
  virtual void set_encoding(Encoding encoding);

  // Parts [out_i, in], stacked by rows. Role GateUp takes exactly two parts of equal shape.
  Weight load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role);
  // [out, in, k, k], k odd.
  Weight load_kernel(Arena& slab, const Tensor& kernel);
  // Concatenated to f32 [sum of elements].
  Tensor load_vector(Arena& slab, std::span<const Tensor> parts);

  // --- Operations ---

  // out = activation(x W^T + bias), or out += the same. out [T, out], x [T, in]; they may differ in
  // type and must not overlap. Sums in f32.
  void linear(const Tensor& out, const Tensor& x, const Weight& weight,
              const LinearArgs& args = {});

  // out = silu(x G^T) * (x U^T) for a GateUp weight of 2F rows. out [T, F], x [T, in].
  // Source: transformers Qwen3MLP, diffusers FeedForward of ZImage.
  void swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up,
              const SwigluArgs& args = {});

  // out = x / sqrt(mean(x^2) + eps) * weight * (1 + scale), row by row; out and x [T, D] may be the
  // same. Source: diffusers RMSNorm; the (1 + scale) factor is ZImageTransformerBlock.forward.
  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight, const NormArgs& args);

  // out = (x - mean) / sqrt(variance + eps) * (1 + scale), row by row; out and x [T, D] may be the
  // same. Source: diffusers FinalLayer of ZImage.
  void layer_norm(const Tensor& out, const Tensor& x, const NormArgs& args);

  // x += tanh(gate) * rms_norm(y) * weight. x, y [T, D].
  // Source: diffusers ZImageTransformerBlock.forward.
  void add_gated_rms_norm(const Tensor& x, const Tensor& y, const Tensor& weight,
                          const GatedNormArgs& args);

  // In place on the first heads + kv_heads heads of each row of qkv [T, (heads + 2 kv_heads)
  // head_dim]: RMSNorm of each head with q_norm or k_norm [head_dim], then a rotation of each pair
  // by its angle.
  void qk_norm_rope(const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm,
                    const RopeArgs& args);

  // out = softmax(q k^T scale) v per head and segment. out [T, heads head_dim], qkv [T, (heads +
  // 2 kv_heads) head_dim]; query head h reads key head h / (heads / kv_heads). Sums in f32.
  void attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args);

  void silu(const Tensor& x);                                       // x = x / (1 + exp(-x))
  void add(const Tensor& x, const Tensor& y);                       // x += y
  void add_scaled(const Tensor& x, const Tensor& y, float factor);  // x += factor * y
  void cast(const Tensor& out, const Tensor& x);                    // same shape, type of out
  // Every row of out [T, D] becomes row [D] f32.
  void fill_rows(const Tensor& out, const Tensor& row);

  // x = mask * x + (1 - mask) * y, element by element. x, y, mask [T, D] f32; mask 0 to 1.
  // Source: diffusers ZImageInpaintPipeline.__call__.
  void blend(const Tensor& x, const Tensor& y, const Tensor& mask);

  // Stride 1, zero padding kernel / 2: out [H, W, out], x [H, W, in], or x [H/2, W/2, in] with
  // upsample_2x. With downsample_2x, of a 3x3 kernel, out [H/2, W/2, out] rounded down: the same as
  // stride 2 with zeros to the right and below. Source: diffusers Downsample2D.
  void conv2d(const Tensor& out, const Tensor& x, const Weight& weight, const ConvArgs& args = {});

  // out = activation((x - mean) / sqrt(variance + eps) * weight + bias), statistics over each group
  // of C / groups channels and all pixels, or those that are given. out and x [H, W, C] may be the
  // same; weight, bias [C].
  void group_norm(const Tensor& out, const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const GroupNormArgs& args);

 protected:
  friend class Buffer;
  friend class PlanBackend;
  friend class ProfileBackend;

  virtual void* do_allocate(std::size_t bytes) = 0;
  virtual void do_free(void* data, std::size_t bytes) noexcept = 0;
  virtual void do_upload(const Tensor& out, const void* source) = 0;
  virtual void do_download(void* target, const Tensor& x) = 0;
  virtual void do_copy(const Tensor& out, const Tensor& x) = 0;
  virtual Weight do_load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role) = 0;
  virtual Weight do_load_kernel(Arena& slab, const Tensor& kernel) = 0;
  virtual Tensor do_load_vector(Arena& slab, std::span<const Tensor> parts) = 0;
  virtual void do_linear(const Tensor& out, const Tensor& x, const Weight& weight,
                         const LinearArgs& args) = 0;
  virtual void do_swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up,
                         const SwigluArgs& args) = 0;
  virtual void do_rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                           const NormArgs& args) = 0;
  virtual void do_layer_norm(const Tensor& out, const Tensor& x, const NormArgs& args) = 0;
  virtual void do_add_gated_rms_norm(const Tensor& x, const Tensor& y, const Tensor& weight,
                                     const GatedNormArgs& args) = 0;
  virtual void do_qk_norm_rope(const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm,
                               const RopeArgs& args) = 0;
  virtual void do_attention(const Tensor& out, const Tensor& qkv, const AttentionArgs& args) = 0;
  virtual void do_silu(const Tensor& x) = 0;
  virtual void do_add_scaled(const Tensor& x, const Tensor& y, float factor) = 0;
  virtual void do_cast(const Tensor& out, const Tensor& x) = 0;
  virtual void do_fill_rows(const Tensor& out, const Tensor& row) = 0;
  virtual void do_blend(const Tensor& x, const Tensor& y, const Tensor& mask) = 0;
  virtual void do_conv2d(const Tensor& out, const Tensor& x, const Weight& weight,
                         const ConvArgs& args) = 0;
  virtual void do_group_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                             const Tensor& bias, const GroupNormArgs& args) = 0;
};

}  // namespace zimage
