// Which model.gguf belongs to which mmproj.gguf. `fastvlm quantize` writes both with one id, and
// renames mmproj.gguf into its place first. Whatever ends it between the two renames, the new pair
// is there: mmproj.gguf and model.gguf.part.
#ifndef FASTVLM_CHECKPOINT_GGUF_PAIR_H_
#define FASTVLM_CHECKPOINT_GGUF_PAIR_H_

#include <string>

#include "base/status.h"
#include "checkpoint/gguf.h"

namespace fastvlm {

inline constexpr char kPairIdKey[] = "fastvlm.pair_id";

// 32 hexadecimal digits at random.
std::string NewPairId();

// "" if the file has none, as those of other programs. kDataError if it is no text.
Result<std::string> PairId(const Gguf& gguf);

// kDataError if both files have an id and these differ.
Status CheckPair(const std::string& model, const std::string& model_id, const std::string& vision,
                 const std::string& vision_id);

// directory/model.gguf.part, if it belongs to directory/mmproj.gguf and directory/model.gguf does
// not: what is left to be renamed. "" otherwise, as far as the files can be read.
std::string InterruptedModel(const std::string& directory);

// Renames it now, unless the program that writes it is still at work.
Status FinishInterrupted(const std::string& directory);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_GGUF_PAIR_H_
