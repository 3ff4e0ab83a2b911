// Times each operation of the CPU backend, and the loading of a matrix, at the sizes of
// Z-Image-Tiny and of the full model. What enters: options; what leaves: a table of times, rates
// and shares of the f32 multiply-add peak, which is measured between the runs, so that both see the
// same machine.
#include "op_bench.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "nn/widen.h"

namespace zimage {
namespace {

double as_double(std::int64_t n) {
  return static_cast<double>(n);
}

void bench_linear(Bench& bench, std::int64_t rows, std::int64_t in, std::int64_t out) {
  const std::string size =
      std::to_string(rows) + " x " + std::to_string(in) + " -> " + std::to_string(out);
  bench.measure("linear " + size, [&](Operands& operands) {
    const Tensor x = operands.activations({rows, in});
    const Tensor y = operands.activations({rows, out});
    const auto w = operands.matrix(out, in, MatrixRole::Linear, bench.encoding());
    const double elements = as_double(rows) * as_double(in + out) * 4;
    Case c{.flops = 2.0 * as_double(rows) * as_double(in) * as_double(out),
           .bytes = 2.0 * as_double(in) * as_double(out) + elements,
           .run = [&bench, x, y, w] { bench.backend().linear(y, x, w.weight); },
           .out = y};
    if (!w.exact.empty()) c.exact = [&bench, x, y, w] { bench.backend().linear(y, x, w.exact); };
    return c;
  });
}

void bench_swiglu(Bench& bench, std::int64_t rows, std::int64_t in, std::int64_t out) {
  const std::string size =
      std::to_string(rows) + " x " + std::to_string(in) + " -> 2 x " + std::to_string(out);
  bench.measure("swiglu " + size, [&](Operands& operands) {
    const Tensor x = operands.activations({rows, in});
    const Tensor y = operands.activations({rows, out});
    const auto w = operands.matrix(out, in, MatrixRole::GateUp, bench.encoding());
    const double elements = as_double(rows) * as_double(in + out) * 4;
    Case c{.flops = 4.0 * as_double(rows) * as_double(in) * as_double(out),
           .bytes = 4.0 * as_double(in) * as_double(out) + elements,
           .run = [&bench, x, y, w] { bench.backend().swiglu(y, x, w.weight); },
           .out = y};
    if (!w.exact.empty()) c.exact = [&bench, x, y, w] { bench.backend().swiglu(y, x, w.exact); };
    return c;
  });
}

// A matrix from the bytes of a file, as they lie in memory, to panels. GB/s are of its numbers as
// bf16, so that encodings can be compared.
void bench_load(Bench& bench, std::int64_t out, std::int64_t in, QuantType type) {
  const bool plain = type == QuantType::None;
  const std::string name = plain ? "bf16" : std::string(name_of(type));
  const std::string size = std::to_string(in) + " -> " + std::to_string(out) + " ";
  bench.measure("load " + size + name, [&](Operands& operands) {
    HostTensor part{.stored = {nullptr, DType::BF16, {out, in}}, .shape = {out, in}, .type = type};
    const std::size_t bytes = part.row_bytes() * static_cast<std::size_t>(out);
    auto* stored = static_cast<std::uint8_t*>(operands.allocate(bytes));
    std::minstd_rand engine(1);
    // Small enough to be no NaN as a scale, a weight or a part of one.
    for (std::size_t i = 0; i < bytes; ++i) stored[i] = static_cast<std::uint8_t>(engine() & 0x3f);
    if (plain) {
      part.stored.data = stored;
    } else {
      part.stored = {stored, DType::U8, {static_cast<std::int64_t>(bytes)}};
    }
    const auto load = [&bench, part](Arena& slab) {
      const WidenedTensors widened({&part, 1}, bench.backend(), slab);
      bench.backend().load_matrix(slab, widened.tensors(), MatrixRole::Linear);
    };
    Arena measure;
    load(measure);
    const std::size_t room = measure.used();
    void* memory = operands.allocate(room);
    return Case{.bytes = 2.0 * as_double(out) * as_double(in), .run = [=] {
                  Arena slab(memory, room);
                  load(slab);
                }};
  });
}

void bench_attention(Bench& bench, std::int64_t rows, std::int64_t head_dim, AttentionArgs args) {
  const std::string size = std::to_string(rows) + " x " + std::to_string(args.heads) + "/" +
                           std::to_string(args.kv_heads) + " x " + std::to_string(head_dim) +
                           (args.causal ? " causal" : "");
  bench.measure("attention " + size, [&](Operands& operands) {
    args.scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
    const Tensor qkv = operands.activations({rows, (args.heads + 2 * args.kv_heads) * head_dim});
    const Tensor out = operands.activations({rows, args.heads * head_dim});
    const double pairs = as_double(rows) * as_double(args.causal ? (rows + 1) / 2 : rows);
    return Case{.flops = 4.0 * pairs * as_double(args.heads * head_dim),
                .bytes = as_double(qkv.elements() + out.elements()) * 4,
                .run = [&bench, out, qkv, args] { bench.backend().attention(out, qkv, args); }};
  });
}

void bench_rows(Bench& bench, std::int64_t rows, std::int64_t dim) {
  const std::string size = " " + std::to_string(rows) + " x " + std::to_string(dim);
  const double bytes = as_double(rows) * as_double(dim) * 4;
  Backend& backend = bench.backend();
  bench.measure("rms_norm" + size, [&](Operands& operands) {
    const Tensor x = operands.activations({rows, dim});
    const Tensor y = operands.activations({rows, dim});
    const Tensor w = operands.activations({dim});
    return Case{.bytes = 2 * bytes, .run = [&backend, x, y, w] {
                  backend.rms_norm(y, x, w, {.eps = 1e-5F, .scale = w});
                }};
  });
  bench.measure("add_gated_rms_norm" + size, [&](Operands& operands) {
    const Tensor x = operands.activations({rows, dim});
    const Tensor y = operands.activations({rows, dim});
    const Tensor w = operands.activations({dim});
    return Case{.bytes = 3 * bytes, .run = [&backend, x, y, w] {
                  backend.add_gated_rms_norm(x, y, w, {.eps = 1e-5F, .gate = w});
                }};
  });
  bench.measure("silu" + size, [&](Operands& operands) {
    const Tensor x = operands.activations({rows, dim});
    return Case{.bytes = 2 * bytes, .run = [&backend, x] { backend.silu(x); }};
  });
}

void bench_rope(Bench& bench, std::int64_t rows, std::int64_t heads, std::int64_t kv_heads,
                Pairing pairing) {
  constexpr std::int64_t kHeadDim = 128;
  const std::string size = std::to_string(rows) + " x " + std::to_string(heads) + "/" +
                           std::to_string(kv_heads) + " x 128" +
                           (pairing == Pairing::Interleaved ? "" : " half-split");
  bench.measure("qk_norm_rope " + size, [&](Operands& operands) {
    const Tensor qkv = operands.activations({rows, (heads + 2 * kv_heads) * kHeadDim});
    const Tensor w = operands.activations({kHeadDim});
    const Tensor angles = operands.activations({rows, kHeadDim / 2, 2});
    const RopeArgs args{
        .cos_sin = angles, .pairing = pairing, .heads = heads, .kv_heads = kv_heads, .eps = 1e-5F};
    return Case{.bytes = as_double(rows * (heads + kv_heads) * kHeadDim) * 8,
                .run = [&bench, qkv, w, args] { bench.backend().qk_norm_rope(qkv, w, w, args); }};
  });
}

void bench_group_norm(Bench& bench, std::int64_t side, std::int64_t channels) {
  const std::string size =
      " " + std::to_string(side) + " x " + std::to_string(side) + " x " + std::to_string(channels);
  bench.measure("group_norm" + size, [&](Operands& operands) {
    const Tensor x = operands.activations({side, side, channels});
    const Tensor y = operands.activations({side, side, channels});
    const Tensor w = operands.activations({channels});
    return Case{.bytes = as_double(x.elements()) * 12, .run = [&bench, x, y, w] {
                  bench.backend().group_norm(
                      y, x, w, w, {.groups = 32, .eps = 1e-6F, .activation = Activation::Silu});
                }};
  });
}

void run(const Options& options) {
  Bench bench(options);
  bench.header();
  // Z-Image-Tiny at 256x256: 256 image and 32 caption tokens.
  for (const auto& [in, out] : {std::pair{384, 1152}, {384, 384}, {1024, 384}, {384, 64}}) {
    bench_linear(bench, 288, in, out);
  }
  bench_swiglu(bench, 288, 384, 1024);
  // The full model: 256x256, 1024x1024, the text encoder's 32 tokens, the modulations.
  for (const auto& [in, out] : {std::pair{3840, 11520}, {3840, 3840}, {10240, 3840}}) {
    bench_linear(bench, 288, in, out);
  }
  bench_swiglu(bench, 288, 3840, 10240);
  bench_linear(bench, 4160, 3840, 3840);
  bench_linear(bench, 32, 2560, 6144);
  bench_swiglu(bench, 32, 2560, 9728);
  for (const std::int64_t rows : {1, 2, 4, 6, 8}) bench_linear(bench, rows, 3840, 3840);
  bench_linear(bench, 8, 256, 15360);
  for (const QuantType type : {QuantType::None, QuantType::Q80, QuantType::Q40, QuantType::Q4K,
                               QuantType::Q5K, QuantType::Q6K, QuantType::Fp8E4M3}) {
    bench_load(bench, 3840, 3840, type);
  }

  bench_attention(bench, 288, 128, {.heads = 3, .kv_heads = 3});
  bench_attention(bench, 288, 128, {.heads = 30, .kv_heads = 30});
  bench_attention(bench, 4160, 128, {.heads = 4, .kv_heads = 4});
  bench_attention(bench, 32, 128, {.heads = 32, .kv_heads = 8, .causal = true});
  bench_attention(bench, 512, 128, {.heads = 32, .kv_heads = 8, .causal = true});
  bench_attention(bench, 1024, 128, {.heads = 1, .kv_heads = 1});
  bench_attention(bench, 1024, 512, {.heads = 1, .kv_heads = 1});

  bench_rows(bench, 288, 384);
  bench_rows(bench, 288, 3840);
  bench_rope(bench, 288, 3, 3, Pairing::Interleaved);
  bench_rope(bench, 288, 30, 30, Pairing::Interleaved);
  bench_rope(bench, 32, 32, 8, Pairing::HalfSplit);
  bench_group_norm(bench, 32, 512);
  bench_group_norm(bench, 256, 128);
}

Options parse(int argc, char** argv) {
  Options options;
  options.backend.threads = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--cpu-time") {
      options.cpu_time = true;
      continue;
    }
    if (i + 1 == argc) throw Error(ErrorCode::InvalidArgument, "no value for " + std::string(name));
    const char* value = argv[++i];
    if (name == "--threads") {
      options.backend.threads = std::atoi(value);
    } else if (name == "--isa") {
      options.backend.isa = cpu::isa_from_name(value);
    } else if (name == "--precision") {
      options.precision = value;
      if (options.precision == "int16") options.backend.fast = cpu::PanelFormat::Int16;
      if (options.precision == "int8") options.backend.fast = cpu::PanelFormat::Int8;
      if (options.precision != "exact" && options.precision != "bf16" && !options.backend.fast)
        throw Error(ErrorCode::InvalidArgument,
                    "precision is " + options.precision + ", expected exact, bf16, int16 or int8");
    } else if (name == "--filter") {
      options.filter = value;
    } else if (name == "--seconds") {
      options.seconds = std::atof(value);
    } else {
      throw Error(ErrorCode::InvalidArgument,
                  "unknown option " + std::string(name) +
                      "; there are --threads N, --isa NAME, --precision NAME, --filter TEXT, "
                      "--seconds S, --cpu-time");
    }
  }
  return options;
}

}  // namespace
}  // namespace zimage

int main(int argc, char** argv) {
  try {
    zimage::run(zimage::parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "op_bench: %s\n", error.what());
    return 2;
  }
  return 0;
}
