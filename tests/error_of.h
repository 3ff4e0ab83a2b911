// Catches the engine's exception for a test that looks at it.
#pragma once

#include <gtest/gtest.h>

#include "base/error.h"

namespace zimage {

// The Error that `function` throws; fails the test when it throws none.
template <typename Function>
Error error_of(const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "expected an Error";
  return {ErrorCode::Cancelled, "no Error was thrown"};
}

}  // namespace zimage
