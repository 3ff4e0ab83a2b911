// The fixture of every conformance test: one instance of the backend under test.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "backend/backends.h"
#include "backend/op_case.h"

namespace zimage {

class BackendOp : public testing::TestWithParam<BackendCase> {
 protected:
  void SetUp() override { backend_ = GetParam().make(); }
  Backend& backend() { return *backend_; }

  // Scratch for one operation, as the pipeline would reserve it from the plan.
  void reserve(ScratchOp op, const Tensor& out, const Tensor& x, const Weight& weight) {
    backend().reserve_scratch(backend().scratch_bytes(op, out, x, weight));
  }

 private:
  std::unique_ptr<Backend> backend_;
};

inline std::string backend_name(const testing::TestParamInfo<BackendCase>& param) {
  return param.param.name;
}

}  // namespace zimage
