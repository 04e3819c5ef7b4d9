// GET /metrics
#include "server/metrics.h"

#include "server/routes/routes.h"

namespace fastvlm {

void ShowMetrics(ServerContext& context, Exchange& exchange) {
  exchange.response.status = 200;
  exchange.response.set_content(
      context.metrics.Render(context.engine.stats(), context.connections()),
      "text/plain; version=0.0.4");
}

}  // namespace fastvlm
