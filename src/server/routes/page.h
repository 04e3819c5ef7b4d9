// The files of the web page.
#ifndef FASTVLM_SERVER_ROUTES_PAGE_H_
#define FASTVLM_SERVER_ROUTES_PAGE_H_

#include <string_view>

#include "server/routes/routes.h"

namespace fastvlm {

// True if the page has a file of this path.
bool IsPage(std::string_view path);
void Page(ServerContext& context, Exchange& exchange);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_ROUTES_PAGE_H_
