// GET /, /style.css and so on: the page, from memory
#include "server/routes/page.h"

#include "server/web_assets.h"

namespace fastvlm {
namespace {

const WebAsset* FindAsset(std::string_view path) {
  for (const WebAsset& asset : WebAssets()) {
    if (asset.path == path) return &asset;
  }
  return nullptr;
}

}  // namespace

bool IsPage(std::string_view path) { return FindAsset(path) != nullptr; }

void Page(ServerContext&, Exchange& exchange) {
  const WebAsset& asset = *FindAsset(exchange.request.path);
  httplib::Response& response = exchange.response;
  response.set_header("ETag", std::string(asset.etag));
  response.set_header("Cache-Control", "no-cache");  // is asked for each time, by its ETag
  response.set_header("Content-Security-Policy", std::string(kWebContentSecurityPolicy));
  if (exchange.request.get_header_value("If-None-Match") == asset.etag) {
    response.status = 304;
    return;
  }
  response.status = 200;
  response.set_content(asset.bytes.data(), asset.bytes.size(), std::string(asset.content_type));
}

}  // namespace fastvlm
