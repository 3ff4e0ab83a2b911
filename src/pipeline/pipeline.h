// The library's interface: from a request to its pictures.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "image/image.h"
#include "scheduler/sampler.h"

namespace zimage {

// The program's version, "0.1.0".
std::string_view version();

// Every device that this build knows and this machine has, as PipelineOptions::device names them:
// "cpu", and the cards.
std::vector<std::string> available_devices();

// Which of torch's generators the noise follows.
enum class RngKind : std::uint8_t { Cpu, Cuda };

// The most pictures of one request: more gain nothing from being drawn at once.
inline constexpr std::int64_t kMaxCount = 64;

// What to draw. Absent fields take the model's defaults.
struct Request {
  std::string prompt;  // UTF-8; may be empty
  // Pixels, 1 or more; drawn on the next multiple of 16 and cropped.
  std::optional<std::int64_t> width = {};
  std::optional<std::int64_t> height = {};
  // Noise levels at which a step begins, 1 to 1000: a forward of the transformer each, with
  // Sampler::Heun two but for the last.
  std::optional<std::int64_t> steps = {};
  Sampler sampler = Sampler::Euler;
  // Noise levels in place of evenly spaced ones: each above 0, at most 1, below the one before. The
  // shift is applied to them; the final 0 may be left out. Empty: spaced evenly. With them, steps
  // are absent or as many.
  std::vector<double> sigmas = {};
  // Moves noise levels towards 1: more than 0, at most 1000; 1 leaves them. Absent: as the model's
  // configuration says, by a constant or with the size.
  std::optional<double> shift = {};
  // How far each step goes beyond the prompt, away from the negative one: v + guidance * (v -
  // v_negative). 0 to 100; 0 is one forward a step and no negative prompt. Absent: the model's.
  std::optional<double> guidance = {};
  std::string negative_prompt = {};  // UTF-8
  // With guidance: the most by which the norm of v may grow, 0 to 100; 0: any.
  double cfg_normalization = 0;
  // With guidance: steps whose 1 - sigma exceeds it, 0 to 1, go without.
  double cfg_truncation = 1;
  // A picture to begin from, 8-bit RGB of any size; empty: none. The part around its middle that
  // has the proportions of width and height is scaled to them. An absent side is that of the
  // picture, or follows from the other one by its proportions.
  Image init_image = {};
  // With an init image: which share of the steps is drawn, above 0 and at most 1, beginning with as
  // much noise as they take away; 1 leaves nothing of it but what a mask keeps. Absent: 0.6, with a
  // mask 1.
  std::optional<double> strength = {};
  // With an init image: where that is drawn anew. White is, black is not, halves count as white. Of
  // any size, laid over the init image; empty: everywhere.
  Image mask = {};
  // With a mask: whether the pixels that it keeps are put back into the picture in the end. The
  // reference leaves them as the autoencoder gives them back.
  bool composite = true;
  // Whether a picture of one colour, all pixels within one level, is a result and not a failure.
  bool allow_flat = false;
  std::uint64_t seed = 0;
  RngKind rng = RngKind::Cpu;
  // How far pictures of different seeds are moved apart, 0 to 1: noise of the seed on the prompt's
  // features, in up to the first half of the steps. 0 is the reference's picture.
  double seed_variety = 0;
  // Pictures, 1 to kMaxCount, all of this prompt and size. Their noise is one draw from the seed,
  // as that of a batch of the reference.
  std::int64_t count = 1;
};

// In the order in which they run; EncodeImage with an init image alone.
enum class Stage : std::uint8_t { EncodeImage, EncodePrompt, Denoise, Decode };
inline constexpr std::size_t kStageCount = 4;
std::string_view name_of(Stage stage);  // "image encoder", "text encoder", "denoise", "decode"

// Sent when a stage begins (step 0) and after each of its steps, on the calling thread. Steps of
// the text encoder are prompts, those of the denoising evaluations in every pass
// (Plan::pictures_per_pass), those of the decoder pictures.
struct Progress {
  Stage stage = Stage::EncodePrompt;
  std::int64_t step = 0;
  std::int64_t steps = 1;
};
using ProgressFn = std::function<void(const Progress&)>;

// What a picture will look like, estimated from the latents and velocity of a step.
struct Preview {
  Image image;               // a pixel for each 8x8 of the picture's, rounded up
  std::int64_t picture = 0;  // which of the request's
  std::int64_t step = 0;     // after this evaluation of the denoising, from 1
  std::int64_t steps = 0;    // of so many
};

// Previews of a run: after each `every` evaluations but the last, of every picture of the pass, on
// the calling thread. The estimate is linear, fitted once for the pipeline's decoder, which takes
// the time of decoding 128x128 pixels, and of loading the decoder where it is not kept.
struct PreviewOptions {
  std::int64_t every = 0;  // 0: none
  std::function<void(const Preview&)> show = {};

  bool is_on() const { return every > 0 && show; }
};

// Seconds of each stage; loading of parts is counted apart.
struct Timings {
  double load = 0;
  double encode_image = 0;
  double encode_prompt = 0;  // 0 where every prompt's features were kept
  double denoise = 0;
  double decode = 0;
};

struct Result {
  std::vector<Image> images;                 // Request::count of them, in the order of their noise
  Request request;                           // with every default filled in, without its pictures
  std::int64_t tokens = 0;                   // of the prompt, template included
  std::int64_t tokens_dropped = 0;           // beyond the model's limit of 512
  std::int64_t negative_tokens_dropped = 0;  // the same of the negative prompt, with guidance
  std::int64_t drawn_width = 0;              // before cropping: the next multiple of 16
  std::int64_t drawn_height = 0;
  // What it was drawn with: those of the options, or what stands in for them when it was drawn
  // again.
  std::string precision;
  std::string encoding;
  // Where the pictures were drawn a second time, in a safer precision: what was wrong with the
  // first, in a sentence for people. Empty: they were not.
  std::string repeated;
  Timings timings;
  std::size_t activations_used = 0;  // bytes, the most in use at once; equals what the plan says
};

// Which networks stay loaded when their stage has ended.
enum class Keep : std::uint8_t {
  Auto,  // all, when the request's plan fits the free memory so; else none
  All,
  None,  // each is released before the next is loaded
};

// How weight files are read while a network loads.
enum class LoadMode : std::uint8_t {
  Map,      // as their pages are touched
  Preload,  // ahead of that, by threads with several requests on their way to the disk
};

// How numbers of float32 files are held.
enum class WeightType : std::uint8_t {
  Stored,  // as they are
  Bf16,    // matrices of the text encoder and the transformer in bf16, rounded to nearest
};

// What one stage of a request needs, known before it runs. In bytes, but for `flops` and blocks.
struct StagePlan {
  Stage stage = Stage::EncodePrompt;
  // False for a stage that the request lacks, or whose result is there from an earlier one; of it
  // nothing else is set but the weights of a network that stays loaded.
  bool runs = true;
  std::size_t weights = 0;      // of its network on the device
  std::size_t activations = 0;  // the most in use at once
  std::size_t workspace = 0;    // of the kernels
  std::int64_t layers = 0;      // blocks of its network that can be streamed
  std::int64_t streamed = 0;    // of them: read again for each use
  std::size_t loading = 0;      // beyond its weights, the most while it or a streamed block loads
  std::size_t host = 0;         // in host memory: noise, features, pixels
  std::size_t copies = 0;  // in page-locked host memory: the blocks that are streamed to a card
  std::size_t total = 0;   // on the device, the most while it loads and runs, with what is kept
  double flops = 0;        // of all its steps; convolutions counted as direct
};

struct Plan {
  std::array<StagePlan, kStageCount> stages;  // in the order of Stage
  Keep keep = Keep::All;                      // All or None
  std::int64_t count = 1;                     // pictures of the request
  std::int64_t pictures_per_pass = 1;  // of them, the most that the transformer computes at once
  // Of the transformer in each pass: a forward, with guidance of both prompts, which are two
  // forwards where their padded lengths differ.
  std::int64_t evaluations = 1;
  // Latent rows of the strips that the decoder draws and the image encoder reads, 0: in one piece;
  // and how many maps each keeps between its levels, for less to be computed again.
  std::int64_t strip_rows = 0;
  std::int64_t kept_maps = 0;
  std::int64_t encoder_strip_rows = 0;
  std::int64_t encoder_kept_maps = 0;
  // With the model open and nothing loaded: of the program on a CPU, and some pages of files that
  // it has yet to touch; of what the backend takes on a card, whose memory the totals are of.
  std::size_t process = 0;
  std::size_t total = 0;  // the largest of the stages'
  // What it may be: free memory and what this pipeline holds of it, or the limit if that is less.
  std::size_t available = 0;

  StagePlan& of(Stage stage) { return stages[static_cast<std::size_t>(stage)]; }
  const StagePlan& of(Stage stage) const { return stages[static_cast<std::size_t>(stage)]; }
  std::int64_t passes() const { return (count + pictures_per_pass - 1) / pictures_per_pass; }
};

struct PipelineOptions {
  std::filesystem::path
      model;  // a model folder; with random_weights, its configuration files suffice
  // Files in place of the model's parts, safetensors or GGUF; one may hold several. With all three
  // networks' `model` may be empty.
  std::filesystem::path transformer = {};
  std::filesystem::path text_encoder = {};
  std::filesystem::path vae = {};
  // tokenizer.json, or a GGUF file with a vocabulary, when it lies elsewhere; empty: the text
  // encoder's own, else the model's.
  std::filesystem::path tokenizer = {};
  std::string device = "auto";  // "auto", "cpu", "cuda", "cuda:1", "reference"
  int threads = 0;              // 0: one for each core this process may use
  // On a CPU: "avx512", "avx2" or "portable" force the kernels of one instruction set. "best" takes
  // for each kind of operation the fastest that the processor has, as measured once on this machine
  // and kept in $XDG_CACHE_HOME/zimage, else ~/.cache/zimage.
  std::string cpu_kernel = "best";
  // Of activations and arithmetic: "exact" is f32; "bf16" is for CUDA and for CPUs that multiply
  // it; "fast" rounds what the transformer's blocks multiply to integers, on CPUs. "auto" is bf16
  // on CUDA, exact on CPUs.
  std::string precision = "auto";
  // Of the transformer's matrices: "auto" follows the precision; "bf16" says it for them alone;
  // "fp8" is for CUDA.
  std::string encoding = "auto";
  Keep keep = Keep::Auto;  // which networks stay loaded between stages and requests
  std::size_t memory_limit =
      0;  // bytes, of the process on a CPU, of the card elsewhere; 0: what is free
  LoadMode load = LoadMode::Map;
  WeightType weights = WeightType::Stored;
  // A folder for loaded weights, which the next start maps (on a CPU); empty: none. What it cannot
  // hold is loaded without it, and logged.
  std::filesystem::path weights_cache = {};
  // Bytes of host memory for features of prompts, which need no text encoder when they come again;
  // 0: none.
  std::size_t feature_memory = std::size_t{64} << 20;
  std::int64_t random_tokens =
      101;                      // with random weights: of the prompt, in place of a tokenizer's
  bool random_weights = false;  // take only the configuration from `model`: for measurements
};

// The best rates of a device, for shares of them.
struct Ceilings {
  double flops = 0;      // floating-point operations a second, in the type the matrix products use
  double encoded = 0;    // operations a second of the transformer's products, if of another type
  double bandwidth = 0;  // bytes a second read from memory
  double transfer = 0;   // bytes a second that streamed blocks are copied to a card with
};

// All calls of one kind of operation in profiled runs.
struct OpProfile {
  std::string name;  // "linear", "attention", "conv2d 3x3", ...
  std::int64_t calls = 0;
  double seconds = 0;
  double flops = 0;  // 0 for operations that only move numbers
};

// A loaded model on one device. One thread at a time; keep it for many requests.
class Pipeline {
 public:
  // Opens the model and its configuration; weights are loaded with the first request.
  // Throws NotFound, InvalidFile, Unsupported, Device.
  explicit Pipeline(const PipelineOptions& options);
  ~Pipeline();
  Pipeline(Pipeline&&) noexcept;
  Pipeline& operator=(Pipeline&&) noexcept;

  // Throws InvalidArgument for a request that has no meaning, OutOfMemory for one whose plan
  // exceeds the machine, Cancelled within a step of `stop`, Numerics for NaN, infinity or a picture
  // of one colour, naming the stage where it was first seen. Before that a picture is drawn again
  // in precision "exact" where this pipeline's is another; progress then begins anew.
  Result generate(const Request& request, const ProgressFn& progress = {},
                  std::stop_token stop = {}, const PreviewOptions& previews = {});

  // Computes and keeps the features of prompts, negative ones too, in their order, so that the text
  // encoder is loaded once for many requests. Progress is sent in steps of the text encoder. The
  // result is how many of them, from the first on, need no text encoder then: all, or as many as
  // PipelineOptions::feature_memory holds at once; one where that holds none. Throws as generate()
  // does.
  std::size_t encode(std::span<const std::string> prompts, const ProgressFn& progress = {},
                     const std::stop_token& stop = {});

  // The request with the model's defaults filled in. Throws InvalidArgument.
  Request complete(const Request& request) const;
  // A sentence, for people, on each choice that is allowed and known to hurt what the model draws.
  // Throws InvalidArgument.
  std::vector<std::string> notes(const Request& request) const;
  // Runs the request without computing. Throws InvalidArgument.
  Plan plan(const Request& request) const;
  // "cpu: AVX2, 2 threads"; with kernels that differ, which compute what.
  std::string device_description() const;
  // Bytes of the device's memory that are taken now: by this process on a CPU, by this pipeline on
  // a card.
  std::size_t memory_in_use() const;
  // Draws the request once, waiting for every operation and timing it. Slower than generate().
  // Throws as generate() does.
  std::vector<OpProfile> profile(const Request& request);
  // The device's best rates, measured now: takes about a second.
  Ceilings measure_ceilings() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace zimage
