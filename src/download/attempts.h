// Answers of a hub become a wait before the next attempt, or an error.
#pragma once

#include <stop_token>
#include <string>

#include "base/error.h"
#include "download/http.h"

namespace zimage::download {

// A hub's refusal, with the status that carried it; 0 when no answer came.
class HttpError : public Error {
 public:
  HttpError(const std::string& message, int status)
      : Error(status == 404 ? ErrorCode::NotFound : ErrorCode::Io, message), status_(status) {}

  int status() const { return status_; }

 private:
  int status_;
};

// The attempts at one thing. Waits double from a quarter of a second to 16 seconds; a server's
// Retry-After counts as well.
class Attempts {
 public:
  // `what` begins the error; at most `retries` attempts follow the first.
  Attempts(std::string what, int retries, std::stop_token stop);

  // Something came: the attempts count from here again.
  void reset() { used_ = 0; }

  // Returns when the next attempt is due. Throws HttpError for answers that will not change (401,
  // 404, a bad certificate), Io when the attempts are used up, and Cancelled.
  void wait_after(const HttpResponse& response);

  // The same for an answer that came whole and is wrong, with what is wrong.
  void wait_after(const std::string& problem);

 private:
  void wait(const std::string& problem, double least_seconds);

  const std::string what_;
  const int retries_;
  const std::stop_token stop_;
  int used_ = 0;
};

// "HTTP 404 (Repository not found)" or what broke the transfer off.
std::string describe(const HttpResponse& response);

}  // namespace zimage::download
