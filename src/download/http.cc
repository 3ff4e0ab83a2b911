// Requests by libcurl's easy interface.
#include "download/http.h"

#include <curl/curl.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <mutex>

#include "base/error.h"
#include "base/quote.h"

namespace zimage::download {
namespace {

constexpr long kMaxRedirects = 10;
constexpr long kConnectSeconds = 20;
// A transfer that gives nothing for so long has broken off.
constexpr long kSilentSeconds = 30;
constexpr std::size_t kMaxReason = 300;
constexpr std::size_t kMaxHeader = 4096;

constexpr std::initializer_list<CURLcode> kPassing = {CURLE_COULDNT_RESOLVE_HOST,
                                                      CURLE_COULDNT_CONNECT,
                                                      CURLE_PARTIAL_FILE,
                                                      CURLE_OPERATION_TIMEDOUT,
                                                      CURLE_GOT_NOTHING,
                                                      CURLE_SEND_ERROR,
                                                      CURLE_RECV_ERROR,
                                                      CURLE_HTTP2,
                                                      CURLE_HTTP2_STREAM,
                                                      CURLE_SSL_CONNECT_ERROR,
                                                      CURLE_AGAIN};

// libcurl asks for this before any thread uses it.
void initialize() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

struct FreeHeaders {
  void operator()(curl_slist* headers) const { curl_slist_free_all(headers); }
};

struct Transfer {
  CURL* curl;
  const BodySink& sink;
  const std::stop_token& stop;
  HttpResponse response;
  std::string error_code;
  std::string error_message;
  std::string body;  // of a refusal
  std::exception_ptr thrown;
  std::unique_ptr<curl_slist, FreeHeaders> headers;
};

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

int status_of(CURL* curl) {
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  return static_cast<int>(status);
}

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* target) {
  auto& transfer = *static_cast<Transfer*>(target);
  const std::string_view line(data, size * count);
  // The head of a redirect, a proxy or an interim answer is not that of the body.
  if (line.starts_with("HTTP/")) {
    transfer.response = {};
    transfer.error_code.clear();
    transfer.error_message.clear();
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || line.size() > kMaxHeader) return line.size();
  const std::string name(line.substr(0, colon));
  const std::string value(trimmed(line.substr(colon + 1)));
  const auto is = [&name](const char* other) { return ::strcasecmp(name.c_str(), other) == 0; };
  if (is("Content-Range")) transfer.response.content_range = value;
  if (is("Link")) transfer.response.link = value;
  if (is("X-Error-Code")) transfer.error_code = value;
  if (is("X-Error-Message")) transfer.error_message = value;
  return line.size();
}

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* target) {
  auto& transfer = *static_cast<Transfer*>(target);
  const std::string_view bytes(data, size * count);
  transfer.response.status = status_of(transfer.curl);
  if (transfer.response.status != 200 && transfer.response.status != 206) {
    transfer.body += bytes.substr(0, kMaxReason - std::min(kMaxReason, transfer.body.size()));
    return bytes.size();
  }
  curl_off_t length = -1;
  curl_easy_getinfo(transfer.curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if (length >= 0) transfer.response.content_length = static_cast<std::uint64_t>(length);
  try {
    transfer.sink(transfer.response, bytes);
  } catch (...) {
    // No exception may pass through libcurl's frames.
    transfer.thrown = std::current_exception();
    return CURL_WRITEFUNC_ERROR;
  }
  return bytes.size();
}

int look_at_stop(void* target, curl_off_t /*down_total*/, curl_off_t /*down*/,
                 curl_off_t /*up_total*/, curl_off_t /*up*/) {
  return static_cast<Transfer*>(target)->stop.stop_requested() ? 1 : 0;
}

// The file of certificates to trust in place of the system's; null: none is named. The variables of
// curl's own program.
const char* trusted_certificates() {
  for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here changes the environment
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  }
  return nullptr;
}

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

// Of the last redirect's URL.
std::string host_of(CURL* curl) {
  const char* text = nullptr;
  char* host = nullptr;
  curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_URL, &text);
  const std::unique_ptr<CURLU, FreeUrl> url(curl_url());
  if (text == nullptr || curl_url_set(url.get(), CURLUPART_URL, text, 0) != CURLUE_OK ||
      curl_url_get(url.get(), CURLUPART_HOST, &host, 0) != CURLUE_OK)
    return "the server";
  std::string result = printable(host);
  curl_free(host);
  return result;
}

// Why a transfer broke off, in libcurl's words, and what a user can do about it.
std::string failure_of(CURL* curl, CURLcode code, const char* text) {
  std::string reason = text[0] != '\0' ? printable(text) : curl_easy_strerror(code);
  if (code != CURLE_PEER_FAILED_VERIFICATION) return reason;
  return "the certificate of " + host_of(curl) + " is not trusted (" + reason +
         "); if it should be, name the file of its authority in CURL_CA_BUNDLE or SSL_CERT_FILE";
}

void set_up(CURL* curl, const HttpRequest& request, Transfer& transfer) {
  curl_easy_reset(curl);
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "zimage");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  const bool is_secure = request.url.starts_with("https:");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, is_secure ? "https" : "http,https");
  if (const char* const file = trusted_certificates()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, file);
  }
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kMaxRedirects);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kSilentSeconds);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L * 1024L);
  // libcurl withholds credentials set this way from every other host, port and scheme.
  if (!request.token.empty()) {
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, request.token.c_str());
  }
  if (!request.cookie.empty()) {
    transfer.headers.reset(curl_slist_append(nullptr, ("Cookie: " + request.cookie).c_str()));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, transfer.headers.get());
  }
  if (request.first_byte > 0) {
    const std::string range = std::to_string(request.first_byte) + "-";
    curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_at_stop);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
}

// The server's own words, or what its page begins with.
std::string reason_of(const Transfer& transfer) {
  if (!transfer.error_message.empty()) return printable(transfer.error_message);
  if (!transfer.error_code.empty()) return printable(transfer.error_code);
  const std::string_view body = trimmed(transfer.body);
  return body.starts_with('<') ? std::string() : printable(body);
}

}  // namespace

struct HttpClient::Handle {
  CURL* curl = curl_easy_init();
};

HttpClient::HttpClient() {
  initialize();
  handle_ = std::make_unique<Handle>();
  if (handle_->curl == nullptr) throw Error(ErrorCode::OutOfMemory, "libcurl cannot be started");
}

HttpClient::~HttpClient() {
  curl_easy_cleanup(handle_->curl);
}

HttpResponse HttpClient::get(const HttpRequest& request, const BodySink& sink,
                             const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "interrupted");
  CURL* curl = handle_->curl;
  Transfer transfer{.curl = curl,
                    .sink = sink,
                    .stop = stop,
                    .response = {},
                    .error_code = {},
                    .error_message = {},
                    .body = {},
                    .thrown = {},
                    .headers = {}};
  set_up(curl, request, transfer);
  std::array<char, CURL_ERROR_SIZE> text{};
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text.data());
  const CURLcode result = curl_easy_perform(curl);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  if (result == CURLE_ABORTED_BY_CALLBACK || stop.stop_requested()) {
    throw Error(ErrorCode::Cancelled, "interrupted");
  }
  HttpResponse response = transfer.response;
  response.status = status_of(curl);
  if (result != CURLE_OK) {
    response.failure = failure_of(curl, result, text.data());
    response.is_final = std::ranges::find(kPassing, result) == kPassing.end();
  }
  curl_off_t wait = 0;
  curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &wait);
  if (wait > 0) response.retry_after = static_cast<double>(wait);
  if (response.status >= 400) response.reason = reason_of(transfer);
  return response;
}

}  // namespace zimage::download
