// Fields that several APIs have in common.
#ifndef FASTVLM_SERVER_COMMON_FIELDS_H_
#define FASTVLM_SERVER_COMMON_FIELDS_H_

#include "server/call.h"
#include "server/request_fields.h"

namespace fastvlm {

// What the APIs differ in.
struct SamplingNames {
  const char* repetition_penalty;
  float max_temperature;
};

// The fields of SamplingOptions, and those of samplers that other programs have: these may be
// there, switched off.
void ReadSampling(const SamplingNames& names, RequestFields& fields, Call& call);

// `name`: a string or a list of strings. Empty ones count as absent.
void ReadStop(const char* name, RequestFields& fields, Call& call);

// The schema that the answer follows. `param` says where the request has it. A second one is an
// error.
void SetSchema(const Json& schema, const std::string& param, RequestFields& fields, Call& call);

// The answer is any JSON object.
void SetAnyObject(const std::string& param, RequestFields& fields, Call& call);

// `name`: "json", or a schema.
void ReadFormat(const char* name, RequestFields& fields, Call& call);

// OpenAI's "response_format".
void ReadResponseFormat(RequestFields& fields, Call& call);

// "tools" and "functions" of a model that may, but need not, call them: it never does, and a note
// says so. Those that it must call are errors.
void ReadTools(RequestFields& fields, Call& call);

// resolution: 512 or "640x448", width first.
void ReadResolution(RequestFields& fields, Call& call);

// background: "white", "black" or "#rrggbb", what shows through transparent pictures.
void ReadBackground(RequestFields& fields, Call& call);

// `value` as the length of the answer, at most what the limits allow.
void SetMaxTokens(int64_t value, const CallLimits& limits, Call& call);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_COMMON_FIELDS_H_
