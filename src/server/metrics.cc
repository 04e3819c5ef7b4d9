#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace fastvlm {
namespace {

struct Value {
  const char* name;
  const char* type;
  const char* help;
  int64_t EngineStats::*field;
};

constexpr Value kValues[] = {
    {"fastvlm_requests_active", "gauge", "Requests being answered", &EngineStats::active},
    {"fastvlm_requests_queued", "gauge", "Requests waiting", &EngineStats::queued},
    {"fastvlm_requests_total", "counter", "Requests the engine took", &EngineStats::requests},
    {"fastvlm_requests_rejected_total", "counter", "Requests refused because the queue was full",
     &EngineStats::rejected},
    {"fastvlm_requests_cancelled_total", "counter", "Requests whose client went away",
     &EngineStats::cancelled},
    {"fastvlm_requests_failed_total", "counter", "Requests without an answer",
     &EngineStats::failed},
    {"fastvlm_requests_timed_out_total", "counter", "Requests that took too long",
     &EngineStats::timed_out},
    {"fastvlm_prompt_tokens_total", "counter", "Tokens of prompts, images included",
     &EngineStats::prompt_tokens},
    {"fastvlm_cached_prompt_tokens_total", "counter", "Of them, known from an earlier request",
     &EngineStats::cached_prompt_tokens},
    {"fastvlm_generated_tokens_total", "counter", "Tokens of answers",
     &EngineStats::generated_tokens},
    {"fastvlm_images_encoded_total", "counter", "Images the vision encoder has seen",
     &EngineStats::images_encoded},
    {"fastvlm_image_cache_hits_total", "counter", "Images whose visual tokens were still there",
     &EngineStats::image_cache_hits},
    {"fastvlm_image_cache_bytes", "gauge", "Memory of cached images",
     &EngineStats::image_cache_bytes},
    {"fastvlm_prefix_cache_hits_total", "counter", "Prompts whose beginning was still there",
     &EngineStats::prefix_cache_hits},
    {"fastvlm_prefix_cache_bytes", "gauge", "Memory of cached prompts",
     &EngineStats::prefix_cache_bytes},
};

void AppendHead(std::string_view name, std::string_view type, std::string_view help,
                std::string& text) {
  fmt::format_to(std::back_inserter(text), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

}  // namespace

void Metrics::Histogram::Add(double value) {
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), value);
  ++counts[static_cast<size_t>(bucket - kBounds.begin())];
  sum += value;
}

void Metrics::Histogram::Render(std::string_view name, std::string_view help,
                                std::string& text) const {
  AppendHead(name, "histogram", help, text);
  int64_t total = 0;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    total += counts[i];
    fmt::format_to(std::back_inserter(text), "{}_bucket{{le=\"{}\"}} {}\n", name, kBounds[i],
                   total);
  }
  total += counts.back();
  fmt::format_to(std::back_inserter(text),
                 "{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2:.6f}\n{0}_count {1}\n", name, total,
                 sum);
}

void Metrics::CountRequest(std::string_view route, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  ++requests_[{std::string(route), status}];
  duration_.Add(seconds);
}

void Metrics::CountAnswer(const Answer& answer) {
  const std::lock_guard lock(mutex_);
  if (!answer.token_ids.empty()) first_token_.Add(answer.timings.ttft_ms / 1000);
}

std::string Metrics::Render(const EngineStats& engine, int connections) const {
  std::string text;
  for (const Value& value : kValues) {
    AppendHead(value.name, value.type, value.help, text);
    fmt::format_to(std::back_inserter(text), "{} {}\n", value.name, engine.*value.field);
  }
  AppendHead("fastvlm_connections", "gauge", "Open connections", text);
  fmt::format_to(std::back_inserter(text), "fastvlm_connections {}\n", connections);
  const std::lock_guard lock(mutex_);
  AppendHead("fastvlm_http_requests_total", "counter", "HTTP requests answered", text);
  for (const auto& [key, count] : requests_) {
    fmt::format_to(std::back_inserter(text),
                   "fastvlm_http_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first,
                   key.second, count);
  }
  duration_.Render("fastvlm_http_request_seconds", "Time to answer an HTTP request", text);
  first_token_.Render("fastvlm_time_to_first_token_seconds",
                      "From a request's arrival in the engine to its first token", text);
  return text;
}

}  // namespace fastvlm
