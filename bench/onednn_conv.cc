// The use of oneDNN's C++ interface (2.x).
#include "onednn_conv.h"

#include <omp.h>

#include <dnnl.hpp>
#include <memory>

namespace zimage {
namespace {

using dnnl::memory;
using dnnl::primitive_attr;
using Forward = dnnl::convolution_forward;

struct State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  Forward primitive;
  memory src, weights, bias, dst;

  // `from` in a plain layout as `to` wants it, or back.
  void reorder(memory from, memory to) {
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
  }
};

memory wrap(const memory::dims& dims, memory::format_tag tag, const float* data,
            const dnnl::engine& engine) {
  return {{dims, memory::data_type::f32, tag}, engine, const_cast<float*>(data)};
}

}  // namespace

void set_onednn_threads(int threads) {
  omp_set_num_threads(threads);
}

OnednnConv make_onednn_conv(OnednnAlgorithm algorithm, const ConvShape& shape,
                            const ConvOperands& operands) {
  using Tag = memory::format_tag;
  auto state = std::make_shared<State>();
  const memory::dims x_dims{1, shape.in, shape.height, shape.width};
  const memory::dims out_dims{1, shape.out, shape.height, shape.width};
  const memory::dims kernel_dims{shape.out, shape.in, 3, 3};
  const auto any = [](const memory::dims& dims) {
    return memory::desc(dims, memory::data_type::f32, Tag::any);
  };
  const Forward::desc desc(
      dnnl::prop_kind::forward_inference,
      algorithm == OnednnAlgorithm::Direct ? dnnl::algorithm::convolution_direct
                                           : dnnl::algorithm::convolution_winograd,
      any(x_dims), any(kernel_dims), {{shape.out}, memory::data_type::f32, Tag::a}, any(out_dims),
      {1, 1}, {1, 1}, {1, 1});
  Forward::primitive_desc primitive;
  try {
    primitive = Forward::primitive_desc(desc, state->engine);
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) throw;
    return {};
  }
  state->primitive = Forward(primitive);
  state->src = memory(primitive.src_desc(), state->engine);
  state->weights = memory(primitive.weights_desc(), state->engine);
  state->bias = memory(primitive.bias_desc(), state->engine);
  state->dst = memory(primitive.dst_desc(), state->engine);
  state->reorder(wrap(x_dims, Tag::nhwc, operands.x, state->engine), state->src);
  state->reorder(wrap(kernel_dims, Tag::oihw, operands.kernel, state->engine), state->weights);
  state->reorder(wrap({shape.out}, Tag::a, operands.bias, state->engine), state->bias);
  OnednnConv conv;
  conv.name = primitive.impl_info_str();
  conv.run = [state] {
    state->primitive.execute(state->stream, {{DNNL_ARG_SRC, state->src},
                                             {DNNL_ARG_WEIGHTS, state->weights},
                                             {DNNL_ARG_BIAS, state->bias},
                                             {DNNL_ARG_DST, state->dst}});
    state->stream.wait();
  };
  conv.result = [state, out_dims](std::span<float> out) {
    state->reorder(state->dst, wrap(out_dims, Tag::nhwc, out.data(), state->engine));
  };
  return conv;
}

}  // namespace zimage
