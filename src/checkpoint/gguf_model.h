// A model as GGUF files: Qwen2 in one, as llama.cpp has it, and the image half in another.
// docs/CHECKPOINTS.md has the keys and names of both.
#ifndef FASTVLM_CHECKPOINT_GGUF_MODEL_H_
#define FASTVLM_CHECKPOINT_GGUF_MODEL_H_

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/gguf.h"
#include "checkpoint/model_config.h"
#include "checkpoint/stored_tokenizer.h"
#include "checkpoint/tensor_files.h"
#include "fastvlm/calibration.h"

namespace fastvlm {

inline constexpr char kModelGguf[] = "model.gguf";
inline constexpr char kVisionGguf[] = "mmproj.gguf";

// Where the files of a model are; empty where there are none.
struct GgufPaths {
  std::string model;
  std::string vision;
  bool interrupted = false;  // `model` is what gguf_pair.h's InterruptedModel finds
};

// `path`: a GGUF file of a language model, known by the end of its name or by its first bytes, or a
// directory. In a directory: model.gguf, or else the only other .gguf file; and mmproj.gguf, or
// else the only file mmproj*.gguf. Both are empty if there is a file named model.safetensors*, or
// no .gguf at all. If a run of `fastvlm quantize` was ended between its two files, its
// model.gguf.part takes the place of model.gguf. kDataError if there are several to choose from.
Result<GgufPaths> FindGguf(const std::string& path);

// Maps and parses a file. `tensors` are by name; `gguf` holds views into `files`.
struct GgufFile {
  Gguf gguf;
  TensorFiles tensors;
};
Result<GgufFile> OpenGgufFile(const std::string& path);

// The language half: everything of config.decoder, and model_type. kUnsupported for other
// architectures and settings that would need other arithmetic.
Status ReadGgufDecoderConfig(const GgufFile& file, ModelConfig* config);

// The image half: head_dim and image_size. Before the tensors are read their shapes are brought
// into the form that ReadVision expects. kUnsupported for encoders that are not ours.
Status PrepareGgufVision(GgufFile* file, VisionConfig* config);

// What `fastvlm quantize --calibrate` wrote into an image half; nothing if it was not calibrated.
Result<std::optional<Calibration>> ReadGgufCalibration(const GgufFile& file);

// kUnsupported unless it is Qwen2's byte-level BPE.
Result<StoredTokenizer> ReadGgufTokenizer(const Gguf& gguf);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_GGUF_MODEL_H_
