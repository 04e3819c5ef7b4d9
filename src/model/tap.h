// A look at intermediate results, for tests and comparisons.
#ifndef FASTVLM_MODEL_TAP_H_
#define FASTVLM_MODEL_TAP_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string_view>

namespace fastvlm {

// Called with a name ("stem", "stage.0", "layer.3"), the f32 values and their shape. The values
// are valid during the call only.
using TapFn = std::function<void(std::string_view name, const float* values,
                                 std::initializer_list<int64_t> shape)>;

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_TAP_H_
