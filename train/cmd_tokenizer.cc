#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>

#include "train/commands.h"
#include "train/tokenizer/bpe_trainer.h"
#include "train/tokenizer/special_tokens.h"
#include "train/tokenizer/tokenizer_files.h"

namespace fastvlm::train {
namespace {

constexpr int kAddedTokens = static_cast<int>(kSpecialTokens.size());

struct TokenizerFlags {
  std::string corpus;
  std::string output;
  int vocab_size = 4096;
  BpeOptions bpe;
};

Status RunTokenizer(const TokenizerFlags& flags) {
  BpeOptions options = flags.bpe;
  options.tokens = flags.vocab_size - kAddedTokens;
  FASTVLM_ASSIGN_OR_RETURN(const WordCounts words, CountWords(flags.corpus));
  const BpeModel model = TrainBpe(words, options);
  FASTVLM_RETURN_IF_ERROR(WriteTokenizer(model, flags.output));
  fmt::print(stderr,
             "{}: {} tokens (256 bytes, {} from {} merges, {} special) of {} words, {} different\n",
             flags.output, model.tokens.size() + kSpecialTokens.size(), model.tokens.size() - 256,
             model.merges.size(), kAddedTokens, words.total(), words.counts().size());
  if (words.too_long() > 0) {
    fmt::print(stderr, "warning: {} words of more than {} bytes were left out\n", words.too_long(),
               WordCounts::kMaxWordBytes);
  }
  return {};
}

}  // namespace

CommandFn AddTokenizer(CLI::App& app) {
  auto flags = std::make_shared<TokenizerFlags>();
  app.footer(
      "Example:\n"
      "  fastvlm-train tokenizer --corpus sentences.txt --output model --vocab-size 2560");
  app.add_option("--corpus", flags->corpus, "UTF-8 text, one sentence on each line")
      ->type_name("FILE")
      ->required();
  app.add_option("-o,--output", flags->output, "Directory to write the tokenizer's files to")
      ->type_name("DIR")
      ->required();
  app.add_option("--vocab-size", flags->vocab_size,
                 "Tokens at most, with the 256 single bytes and 4 special tokens")
      ->check(CLI::Range(256 + kAddedTokens, 1 << 20))
      ->capture_default_str();
  app.add_option("--min-count", flags->bpe.min_count, "Merge no pair that occurs less often")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->capture_default_str();
  static const std::map<std::string, MergeRule> kRules = {{"start", MergeRule::kWordStart},
                                                          {"anywhere", MergeRule::kAnywhere}};
  app.add_option("--merge", flags->bpe.rule,
                 "Which pairs are merged: those at the start of words, so that text without a\n"
                 "space before it stays in single characters, or those anywhere")
      ->transform(CLI::CheckedTransformer(kRules).description(""))
      ->type_name("start|anywhere")
      ->default_str("start");
  return [flags] { return RunTokenizer(*flags); };
}

}  // namespace fastvlm::train
