// GET /health
#include "server/routes/routes.h"

namespace fastvlm {

void Health(ServerContext&, Exchange& exchange) {
  // A server that stops answers 503 before it comes here.
  SendJson(200, R"({"status":"ok"})", exchange.response);
}

}  // namespace fastvlm
