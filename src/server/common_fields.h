// Fields that several APIs have in common.
#ifndef FASTVLM_SERVER_COMMON_FIELDS_H_
#define FASTVLM_SERVER_COMMON_FIELDS_H_

#include "server/call.h"
#include "server/request_fields.h"

namespace fastvlm {

// temperature, top_p, top_k, min_p, seed, and the repetition penalty under its name in this API.
void ReadSampling(const char* penalty_name, RequestFields& fields, Call& call);

// `name`: a string, or a list of at most `most`; empty strings are errors.
void ReadStop(const char* name, size_t most, RequestFields& fields, Call& call);

// resolution: 512 or "640x448", width first.
void ReadResolution(RequestFields& fields, Call& call);

// `value` as the length of the answer, at most what the limits allow.
void SetMaxTokens(int64_t value, const CallLimits& limits, Call& call);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_COMMON_FIELDS_H_
