// linear, swiglu and 1x1 convolutions: how a product is cut over the threads.
#include <algorithm>
#include <string>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/parallel.h"
#include "base/error.h"

namespace zimage {
namespace {

using cpu::GemmArgs;
using cpu::Kernels;

// Multiply-adds below which another thread costs more than it saves: a few microseconds' worth.
constexpr std::size_t kGrain = 131072;
// Numbers to round, likewise.
constexpr std::size_t kRoundingGrain = 32768;
// Pieces for each thread, so that a late thread is helped out, and the multiply-adds that make a
// piece worth its own copy of the rows.
constexpr std::size_t kPieces = 4;
constexpr std::size_t kPieceWork = std::size_t{4} << 20;

std::size_t as_size(std::int64_t extent) {
  return static_cast<std::size_t>(extent);
}
std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

std::size_t aligned(std::size_t bytes) {
  return ceil_div(bytes, Arena::kAlignment) * Arena::kAlignment;
}

// How many pieces the tiles (rows) and the panels (columns) are cut into.
struct Grid {
  std::size_t row_parts = 1;
  std::size_t panel_parts = 1;
};

// The cut into about `pieces` pieces with which the busiest of the threads ends first, in units of
// a tile times a panel. Beside these products a piece copies its rows once, at `tile_cost` a tile,
// and reads its panels from memory once; a cut of the columns costs `column_cost`.
struct CutCosts {
  double tile = 0;
  double column = 0;
};

Grid choose_grid(std::size_t tiles, std::size_t panels, std::size_t pieces, std::size_t threads,
                 const CutCosts& costs) {
  constexpr double kPanelCost = 0.7;
  Grid best;
  double best_cost = 0;
  for (std::size_t rows = 1; rows <= std::min(pieces, tiles); ++rows) {
    const std::size_t columns = std::min(pieces / rows, panels);
    const auto t = static_cast<double>(ceil_div(tiles, rows));
    const auto p = static_cast<double>(ceil_div(panels, columns));
    const auto turns = static_cast<double>(ceil_div(rows * columns, threads));
    const double cost =
        turns * (t * p + costs.tile * t + kPanelCost * p) + (columns > 1 ? costs.column : 0);
    if (rows == 1 || cost < best_cost) {
      best = {rows, columns};
      best_cost = cost;
    }
  }
  return best;
}

// Rows of words that several pieces need are rounded for all of them before: that hands out jobs
// once more, and half of the rows then come from another thread's cache.
CutCosts costs_of(const GemmArgs& args) {
  if (!is_dot(args.format)) return {.tile = 0.6};
  return {.column = 40960 / static_cast<double>(args.depth)};
}

struct ProductPlan {
  std::size_t tiles = 0;
  std::size_t panels = 0;
  Grid grid;
  std::size_t threads = 1;
  std::size_t rounded = 0;        // bytes that all pieces share
  std::size_t piece_scratch = 0;  // bytes, the same for every piece

  std::size_t pieces() const { return grid.row_parts * grid.panel_parts; }
  std::size_t scratch() const { return rounded + std::min(pieces(), threads) * piece_scratch; }
};

GemmArgs piece_of(const GemmArgs& args, const ProductPlan& plan, std::size_t piece) {
  const std::size_t row = piece / plan.grid.panel_parts;
  const std::size_t column = piece % plan.grid.panel_parts;
  GemmArgs result = args;
  result.tile_begin = plan.tiles * row / plan.grid.row_parts;
  result.tile_end = plan.tiles * (row + 1) / plan.grid.row_parts;
  result.panel_begin = plan.panels * column / plan.grid.panel_parts;
  result.panel_end = plan.panels * (column + 1) / plan.grid.panel_parts;
  return result;
}

ProductPlan plan_product(const Kernels& kernels, const GemmArgs& args, int threads) {
  ProductPlan plan;
  if (args.rows == 0 || args.columns == 0) return plan;
  const bool dot = is_dot(args.format);
  plan.tiles = ceil_div(args.rows, dot ? kernels.dot.tile_rows : kernels.tile_rows);
  plan.panels = ceil_div(args.columns, args.gate_up ? kernels.lanes : 2 * kernels.lanes);
  const std::size_t work = args.rows * args.columns * args.depth;
  plan.threads = std::clamp<std::size_t>(work / kGrain, 1, as_size(threads));
  const std::size_t rounds =
      plan.threads == 1 ? 1 : std::clamp<std::size_t>(work / kPieceWork / plan.threads, 1, kPieces);
  plan.grid =
      choose_grid(plan.tiles, plan.panels, rounds * plan.threads, plan.threads, costs_of(args));
  if (dot && plan.grid.panel_parts > 1) plan.rounded = aligned(kernels.dot.rounded_bytes(args));
  for (std::size_t piece = 0; piece < plan.pieces(); ++piece) {
    GemmArgs part = piece_of(args, plan, piece);
    part.rounded_before = plan.rounded > 0;
    const std::size_t bytes = dot ? kernels.dot.gemm_scratch(part) : kernels.gemm_scratch(part);
    plan.piece_scratch = std::max(plan.piece_scratch, bytes);
  }
  plan.piece_scratch = aligned(plan.piece_scratch);
  return plan;
}

GemmArgs product_of(std::int64_t rows, const Weight& weight) {
  GemmArgs args;
  args.a_stride = as_size(weight.in);
  args.rows = as_size(rows);
  args.panels = weight.data;
  args.format = cpu::panel_format_of(weight);
  args.depth = as_size(weight.in);
  args.gate_up = weight.layout % cpu::kFormatUnit == cpu::kGateUpPanels;
  args.columns = as_size(weight.out) / (args.gate_up ? 2 : 1);
  args.out_stride = args.columns;
  return args;
}

void expect_layout(const Weight& weight, std::uint8_t layout, const char* op) {
  if (weight.layout % cpu::kFormatUnit == layout) return;
  throw Error(ErrorCode::InvalidArgument,
              std::string(op) + ": weight was not loaded by this backend for this operation");
}

}  // namespace

std::size_t CpuBackend::product_scratch(std::int64_t rows, const Weight& weight) const {
  return plan_product(kernels_, product_of(rows, weight), threads_).scratch();
}

void CpuBackend::multiply(cpu::GemmArgs args) {
  const ProductPlan plan = plan_product(kernels_, args, threads_);
  need_scratch(plan.scratch());
  const int threads = static_cast<int>(std::min(plan.threads, plan.pieces()));
  args.widen = choice_.widen;
  if (plan.rounded > 0) {
    args.rounded_before = true;
    args.rounded = reinterpret_cast<std::uint32_t*>(scratch_);
    round_rows(args, plan.tiles, threads);
  }
  cpu::parallel_for(threads, plan.pieces(), [&](std::size_t piece, std::size_t thread) {
    GemmArgs part = piece_of(args, plan, piece);
    part.scratch = reinterpret_cast<float*>(scratch_ + plan.rounded + thread * plan.piece_scratch);
    if (is_dot(part.format)) {
      kernels_.dot.gemm(part);
    } else {
      kernels_.gemm(part);
    }
  });
}

void CpuBackend::round_rows(const cpu::GemmArgs& args, std::size_t tiles, int threads) {
  const std::size_t tile_numbers = kernels_.dot.tile_rows * args.depth;
  cpu::parallel_ranges(threads, tiles, ceil_div(kRoundingGrain, tile_numbers),
                       [&](std::size_t begin, std::size_t end) {
                         GemmArgs part = args;
                         part.tile_begin = begin;
                         part.tile_end = end;
                         kernels_.dot.round(part);
                       });
}

void CpuBackend::do_linear(const Tensor& out, const Tensor& x, const Weight& weight,
                           const LinearArgs& args) {
  expect_layout(weight, cpu::kPanels, "linear");
  GemmArgs product = product_of(x.dim(0), weight);
  product.a = x.as<float>();
  product.out = out.as<float>();
  product.bias = args.bias.empty() ? nullptr : args.bias.as<float>();
  product.silu = args.activation == Activation::Silu;
  product.accumulate = args.accumulate;
  multiply(product);
}

void CpuBackend::do_swiglu(const Tensor& out, const Tensor& x, const Weight& gate_up,
                           const SwigluArgs& /*args*/) {
  expect_layout(gate_up, cpu::kGateUpPanels, "swiglu");
  GemmArgs product = product_of(x.dim(0), gate_up);
  product.a = x.as<float>();
  product.out = out.as<float>();
  multiply(product);
}

void CpuBackend::conv1x1(const Tensor& out, const Tensor& x, const Weight& weight,
                         const ConvArgs& args) {
  expect_layout(weight, cpu::kPanels, "conv2d");
  GemmArgs product = product_of(x.dim(0) * x.dim(1), weight);
  product.a = x.as<float>();
  product.out = out.as<float>();
  product.bias = args.bias.empty() ? nullptr : args.bias.as<float>();
  product.accumulate = args.accumulate;
  if (!args.upsample_2x) return multiply(product);
  // Each row of x goes to every second pixel of two rows of out, once for even and once for odd
  // pixels.
  product.rows = as_size(x.dim(1));
  product.out_stride = 2 * product.columns;
  for (std::size_t row = 0; row < as_size(out.dim(0)); ++row) {
    product.a = x.as<float>() + row / 2 * product.rows * product.depth;
    for (std::size_t odd = 0; odd < 2; ++odd) {
      product.out = out.as<float>() + (row * as_size(out.dim(1)) + odd) * product.columns;
      multiply(product);
    }
  }
}

}  // namespace zimage
