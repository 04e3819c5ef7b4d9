#include "grammar/formats.h"

namespace fastvlm::grammar {
namespace {

// The years 1000 to 9999, without the 29th of February, which not every year has.
#define FASTVLM_DATE                                                                       \
  "[1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]" \
  "|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
// Without leap seconds.
#define FASTVLM_TIME                                         \
  "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?" \
  "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define FASTVLM_DAYS \
  "([0-9]{1,4}Y([0-9]{1,2}M([0-9]{1,2}D)?)?|[0-9]{1,2}M([0-9]{1,2}D)?|[0-9]{1,4}D)"
#define FASTVLM_HOURS \
  "([0-9]{1,2}H([0-9]{1,2}M([0-9]{1,2}S)?)?|[0-9]{1,2}M([0-9]{1,2}S)?|[0-9]{1,4}S)"

struct Format {
  const char* name;
  const char* pattern;
};
constexpr Format kFormats[] = {
    {"date", "^" FASTVLM_DATE "$"},
    {"time", "^" FASTVLM_TIME "$"},
    {"date-time", "^" FASTVLM_DATE "T" FASTVLM_TIME "$"},
    {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
    {"ipv4",
     "^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?["
     "0-9])$"},
    // Parts short enough for the limits of RFC 5321: 64 bytes before the at sign, 63 in a label.
    {"email",
     "^[A-Za-z0-9_]{1,15}([.+-][A-Za-z0-9_]{1,15}){0,3}@([A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,20}){0,2}"
     "\\.){1,3}[A-Za-z]{2,12}$"},
    // Web addresses. The last label has letters only, so that the host is not taken for numbers.
    {"uri",
     "^https?://([a-z0-9]+(-[a-z0-9]+)*\\.)+[a-z]{2,}(/[A-Za-z0-9._~/-]*(\\?[A-Za-z0-9._~/"
     "=&-]*)?)?$"},
    {"duration", "^P([0-9]{1,4}W|" FASTVLM_DAYS "(T" FASTVLM_HOURS ")?|T" FASTVLM_HOURS ")$"},
};

#undef FASTVLM_HOURS
#undef FASTVLM_DAYS
#undef FASTVLM_DATE
#undef FASTVLM_TIME

}  // namespace

const char* FormatPattern(std::string_view name) {
  for (const Format& format : kFormats) {
    if (name == format.name) return format.pattern;
  }
  return nullptr;
}

}  // namespace fastvlm::grammar
