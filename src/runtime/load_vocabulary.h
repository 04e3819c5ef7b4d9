// The vocabulary of a checkpoint: in its own files, or beside them.
#ifndef FASTVLM_RUNTIME_LOAD_VOCABULARY_H_
#define FASTVLM_RUNTIME_LOAD_VOCABULARY_H_

#include <string>

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "text/vocabulary.h"

namespace fastvlm {

// What the checkpoint holds, or else the tokenizer files in `directory`; errors as
// ReadVocabulary's. A stored tokenizer does not say whether an added token takes white space along
// or is looked for in normalised text: no, as in Qwen2's own files.
Result<Vocabulary> LoadVocabulary(const Checkpoint& checkpoint, const std::string& directory);

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_LOAD_VOCABULARY_H_
