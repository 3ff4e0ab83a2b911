// The one exception type of the engine. What enters: a code and a sentence that names the thing,
// what was expected and what was found. What leaves: an exit code (cli) or a status (server).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace zimage {

enum class ErrorCode : std::uint8_t {
  InvalidArgument,  // the request asks for something that has no meaning
  InvalidFile,      // a file's bytes are not what its format says
  NotFound,         // a file, folder or tensor that must exist does not
  Io,               // the system refused to read or write, with its reason
  Unsupported,      // well-formed, and outside what this build or engine does
  OutOfMemory,      // the plan or an allocation exceeds what there is
  Device,           // a driver or accelerator failed; the pipeline cannot be used again
  Numerics,         // NaN or infinity where finite numbers are needed
  Cancelled,        // the caller's stop_token was set
};

// Thrown by every room; caught only in cli/main.cc and at the server's request boundary.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}

  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace zimage
