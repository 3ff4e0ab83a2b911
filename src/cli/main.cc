// The program: arguments in, exit code out. The only place that catches errors.
#include <signal.h>

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "cli/bench.h"
#include "cli/console.h"
#include "cli/generate.h"
#include "cli/info.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output_file.h"
#include "cli/plan.h"
#include "cli/process.h"

namespace {

using zimage::ErrorCode;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kSignalled = 128;

struct Runner {
  zimage::cli::Interrupt& interrupt;

  void operator()(const zimage::cli::ShowText& show) const {
    zimage::cli::print_to_stdout(show.text);
  }
  void operator()(const zimage::cli::GenerateOptions& options) const {
    zimage::cli::generate(options, interrupt);
  }
  void operator()(const zimage::cli::InfoOptions& options) const { zimage::cli::info(options); }
  void operator()(const zimage::cli::BenchOptions& options) const { zimage::cli::bench(options); }
  void operator()(const zimage::cli::PlanOptions& options) const { zimage::cli::plan(options); }
};

void complain(const std::string& message) {
  std::fprintf(stderr, "zimage: %s\n", zimage::cli::without_controls(message).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  zimage::cli::fill_standard_descriptors();
  // A file-size limit then shows as an error of write(), like a full disk.
  signal(SIGXFSZ, SIG_IGN);
  zimage::cli::Interrupt interrupt;
  try {
    const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    std::visit(Runner{interrupt}, zimage::cli::parse_arguments(arguments));
    return 0;
  } catch (const zimage::Error& error) {
    if (error.code() == ErrorCode::Cancelled && interrupt.signal() != 0) {
      complain("interrupted; no picture was written");
      return kSignalled + interrupt.signal();
    }
    complain(error.what());
    return error.code() == ErrorCode::InvalidArgument ? kUsage : kFailed;
  } catch (const std::bad_alloc&) {
    complain("out of memory");
  } catch (const std::exception& error) {
    complain(std::string("internal error: ") + error.what());
  }
  return kFailed;
}
