// Which format each part of the model has at each precision.
#ifndef FASTVLM_MODEL_PRECISION_H_
#define FASTVLM_MODEL_PRECISION_H_

#include <optional>

#include "base/check.h"
#include "fastvlm/options.h"
#include "ops/kv_layer.h"
#include "ops/packed_linear.h"

namespace fastvlm {

// A part without a format keeps each weight as its file has it.
struct PartFormats {
  std::optional<LinearFormat> vision;  // encoder and projector
  std::optional<LinearFormat> layers;  // of the decoder
  std::optional<LinearFormat> head;
};

// With kQ4 only the decoder's layers have four bits. The encoder and the head would lose most by so
// few bits and gain least, so they keep eight.
inline PartFormats FormatsOf(Precision precision) {
  switch (precision) {
    case Precision::kFastest:  // has been resolved
    case Precision::kAsStored:
      return {};
    case Precision::kF32:
      break;
    case Precision::kBf16:
      return {LinearFormat::kBf16, LinearFormat::kBf16, LinearFormat::kBf16};
    case Precision::kQ8:
      return {LinearFormat::kQ8, LinearFormat::kQ8, LinearFormat::kQ8};
    case Precision::kQ4:
      return {LinearFormat::kQ8, LinearFormat::kQ4, LinearFormat::kQ8};
  }
  return {LinearFormat::kExact, LinearFormat::kExact, LinearFormat::kExact};
}

inline KvType CacheTypeOf(CacheType type, Precision precision) {
  switch (type) {
    case CacheType::kAuto:
      return precision == Precision::kF32 ? KvType::kF32 : KvType::kF16;
    case CacheType::kF32:
      return KvType::kF32;
    case CacheType::kF16:
      return KvType::kF16;
    case CacheType::kQ8:
      return KvType::kQ8;
  }
  FASTVLM_CHECK(false);
}

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_PRECISION_H_
