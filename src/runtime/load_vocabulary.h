// The vocabulary of a checkpoint: in its own files, or beside them.
#ifndef FASTVLM_RUNTIME_LOAD_VOCABULARY_H_
#define FASTVLM_RUNTIME_LOAD_VOCABULARY_H_

#include <string>

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "text/vocabulary.h"

namespace fastvlm {

// The vocabulary that the checkpoint holds, or else that of the tokenizer files in `directory`. The
// errors are those of ReadVocabulary. A tokenizer within a checkpoint does not say whether an added
// token takes white space along or is looked for in normalised text. It does neither, as in Qwen2's
// own files.
Result<Vocabulary> LoadVocabulary(const Checkpoint& checkpoint, const std::string& directory);

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_LOAD_VOCABULARY_H_
