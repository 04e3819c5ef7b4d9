// The files of a tokenizer as Qwen2's are published, readable by transformers and by our engine.
#ifndef FASTVLM_TRAIN_TOKENIZER_TOKENIZER_FILES_H_
#define FASTVLM_TRAIN_TOKENIZER_TOKENIZER_FILES_H_

#include <string>

#include "base/status.h"
#include "train/tokenizer/bpe_trainer.h"

namespace fastvlm::train {

// Writes tokenizer.json, vocab.json, merges.txt, tokenizer_config.json, special_tokens_map.json
// and chat_template.jinja into `directory`, which is made if it does not exist. kSpecialTokens get
// the ids after the vocabulary. Each file is replaced as a whole or not at all. kIoError.
Status WriteTokenizer(const BpeModel& model, const std::string& directory);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TOKENIZER_TOKENIZER_FILES_H_
