// The tokens every FastVLM vocabulary has beside its own, and the chat template, as the files of
// a tokenizer name them.
#ifndef FASTVLM_TRAIN_TOKENIZER_SPECIAL_TOKENS_H_
#define FASTVLM_TRAIN_TOKENIZER_SPECIAL_TOKENS_H_

#include <array>
#include <string_view>

namespace fastvlm::train {

// In the order of their ids, which follow the vocabulary. The first three are Qwen2's.
inline constexpr std::array<std::string_view, 4> kSpecialTokens = {"<|endoftext|>", "<|im_start|>",
                                                                   "<|im_end|>", "<image>"};
inline constexpr std::string_view kPadToken = "<|endoftext|>";
inline constexpr std::string_view kEndToken = "<|im_end|>";
inline constexpr std::string_view kImageToken = "<image>";

// Jinja. Renders the very prompt of text/chat_prompt.h; a message's content is a string or a list
// of {"type": "image"} and {"type": "text", "text": ...}. With one image and one text it is what
// transformers' own FastVLM template gives. That one begins turns without images with a line
// break, which FastVLM was not trained with, and sets several images without line breaks.
inline constexpr std::string_view kChatTemplate =
    R"({%- if messages[0]['role'] != 'system' -%}
{{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] if part['type'] == 'image' -%}{{- '<image>\n' -}}{%- endfor -%}
{%- for part in message['content'] if part['type'] == 'text' -%}{{- part['text'] -}}{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
)";

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TOKENIZER_SPECIAL_TOKENS_H_
