// What was fetched over the network. A program that is built without the hub fetches nothing:
// without_hub.cc says so.
#ifndef FASTVLM_APPS_FETCHED_H_
#define FASTVLM_APPS_FETCHED_H_

#include <string>

#include "fastvlm/status.h"

namespace fastvlm {

// The directory of the model of this name in the cache. kNotFound says what is in the cache and how
// to fetch the model.
Result<std::string> FetchedModel(const std::string& name);

// The path of the picture at this URL, fetched into the cache unless it is there.
Result<std::string> FetchedPicture(const std::string& url);

}  // namespace fastvlm

#endif  // FASTVLM_APPS_FETCHED_H_
