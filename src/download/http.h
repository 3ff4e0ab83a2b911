// One HTTP request: a URL in, a status, a few headers and the body's bytes out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace zimage::download {

struct HttpRequest {
  std::string url;
  // A bearer token for the URL's own host, port and scheme; a redirect to another one goes without.
  std::string token;
  std::string cookie;            // "NAME=VALUE", for the same host alone; empty: none
  std::uint64_t first_byte = 0;  // above 0: only the bytes from there on are asked for
};

// The answer after redirects.
struct HttpResponse {
  int status = 0;         // 0: none came
  std::string failure;    // why the transfer broke off; empty when the whole body came
  bool is_final = false;  // such a failure that another attempt will meet it again
  std::optional<std::uint64_t> content_length;
  std::string content_range;
  std::string link;
  std::optional<double> retry_after;  // seconds
  std::string reason;                 // what the server says of a status of 400 or more
};

// Receives the body of a 200 or 206, piece by piece, with the response's head. May throw.
using BodySink = std::function<void(const HttpResponse& head, std::string_view bytes)>;

// A connection that is kept between requests. Proxies, and the hosts that go without, are those of
// the environment (http_proxy, https_proxy, all_proxy, no_proxy); the authorities that certificates
// may come from are the system's, or those of the file that CURL_CA_BUNDLE or SSL_CERT_FILE names.
// For one thread at a time.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Follows redirects, but none from https to http. Throws Cancelled when `stop` is set, and what
  // `sink` throws.
  HttpResponse get(const HttpRequest& request, const BodySink& sink, const std::stop_token& stop);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace zimage::download
