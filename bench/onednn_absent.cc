// For builds without oneDNN: there is nothing to compare with.
#include "onednn_conv.h"

namespace zimage {

void set_onednn_threads(int /*threads*/) {}

OnednnConv make_onednn_conv(OnednnAlgorithm /*algorithm*/, const ConvShape& /*shape*/,
                            const ConvOperands& /*operands*/) {
  return {};
}

}  // namespace zimage
