// config.json and its companions, in the forms of all layouts.
#ifndef FASTVLM_CHECKPOINT_CONFIG_H_
#define FASTVLM_CHECKPOINT_CONFIG_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/model_config.h"

namespace fastvlm {

// Fills model_type, decoder and vision.image_size of `config`, whose layout and vision.stages must
// be set. Reads config.json, and generation_config.json, preprocessor_config.json,
// processor_config.json and tokenizer_config.json where the layout has use for them. A field that
// is absent has the value transformers' Qwen2Config would give it, or must be there.
//
// "mlx" and "mlx_export" keep Apple's config; what is said of "apple" holds for them too.
// Image size: "apple" has it as the last part of mm_vision_tower; "fast_vlm" in its image
// processor's crop_size or size, or else in image_seq_length.
// Context: "apple" has tokenizer_model_max_length, which training used; "fast_vlm" has no such
// field, its checkpoints are conversions of Apple's, and so it is capped at Apple's 8192.
//
// kNotFound without config.json; kDataError for broken JSON and impossible values; kUnsupported for
// settings that would need other arithmetic, another prompt or other pixels than we produce.
Status ReadConfig(const std::string& directory, ModelConfig* config,
                  std::vector<std::string>* warnings);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_CONFIG_H_
