// What the server counts, as Prometheus reads it.
#ifndef FASTVLM_SERVER_METRICS_H_
#define FASTVLM_SERVER_METRICS_H_

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "fastvlm/engine.h"

namespace fastvlm {

// Thread-safe.
class Metrics {
 public:
  // A request of a route (its path in the table, never the client's text) has been answered.
  void CountRequest(std::string_view route, int status, double seconds);
  void CountAnswer(const Answer& answer);

  // Text exposition format 0.0.4.
  std::string Render(const EngineStats& engine, int connections) const;

 private:
  static constexpr std::array<double, 12> kBounds = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                     1,    2.5,   5,    10,  30,   60};
  struct Histogram {
    std::array<int64_t, kBounds.size() + 1> counts{};
    double sum = 0;
    void Add(double value);
    void Render(std::string_view name, std::string_view help, std::string& text) const;
  };

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> requests_;
  Histogram duration_;
  Histogram first_token_;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_METRICS_H_
