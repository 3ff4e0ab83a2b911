// Takes the place of pull.cc in a build without libcurl.
#include "base/error.h"
#include "download/pull.h"

namespace zimage::download {

PullResult pull(const PullRequest& /*request*/, const hub::Variables& /*variables*/,
                const PullListener& /*listener*/, const std::stop_token& /*stop*/) {
  throw Error(ErrorCode::Unsupported,
              "this zimage was built without libcurl (Debian's libcurl4-openssl-dev), and "
              "cannot fetch models");
}

}  // namespace zimage::download
