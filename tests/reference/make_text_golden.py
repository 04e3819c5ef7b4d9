#!/usr/bin/env python3
"""Makes the golden files of the tokenizer tests with Hugging Face's `tokenizers`.

  make_text_golden.py train DIR               the small tokenizer, DIR/json and DIR/files
  make_text_golden.py cases DIR FILE [-n N]   N strings, and decodings, by DIR/tokenizer.json
  make_text_golden.py classes FILE            code point ranges of \\p{L}, \\p{N} and \\s

The committed files are `train tests/golden/text`, `cases tests/golden/text/json
tests/golden/text/cases.bin`, `classes tests/golden/text/classes.txt`, and for Qwen2's vocabulary
`cases build/cache/qwen2 tests/golden/text/qwen2_cases.bin -n 10000`, where
scripts/fetch-qwen-tokenizer.sh puts it.

Needs tokenizers 0.23 (pip install tokenizers==0.23.3). Every run makes the same files.

cases FILE: "FVTEXT1\\n", then records: kind (one byte: E encode, D decode, S decode without
special tokens), bytes of the text, the text in UTF-8, number of ids, the ids; numbers are LEB128.
"""

import argparse
import json
import os
import random
import unicodedata

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")

MERGES = 2000

SENTENCES = [
    "The photo shows a red bicycle leaning against the wall of a small bakery.",
    "Two children are feeding ducks near the pond, and it's about to rain.",
    "What's written on the sign? They've said we'll know when you're there.",
    "I'm sure he'd rather walk; she isn't in a hurry, don't worry!",
    "Read the total at the bottom of the receipt: 3 items, 17.45 in all (tax included).",
    "Describe the image in detail, then list every object that you can see.",
    "The quick answer is no, the long answer is that nobody has counted them.",
    "Ein alter Leuchtturm steht über der grauen Küste, daneben weiden Schafe.",
    "Drei Straßenbahnen fahren größtenteils leer durch die Münchner Nacht.",
    "Le chat noir dort sur le canapé près de la fenêtre où il fait chaud.",
    "Ça n'est pas très loin, mais l'été la forêt brûle et l'œil s'égare.",
    "La niña compró tres manzanas rojas y un cuaderno en el mercado del año pasado.",
    "O pão está à venda na estação, mas a informação não chegou até você.",
    "Il gatto è più veloce della città che dorme sotto la pioggia.",
    "Gökyüzü açık, ışıklar sönük; İstanbul'da öğleden sonra çay içiyoruz.",
    "Pes běží přes žlutou louku, kde roste příliš mnoho květin.",
    "Żółta łódź płynie wśród gęstych trzcin, źrebię pije wodę.",
    "Một con mèo đang ngủ trên chiếc ghế gỗ ở góc phố Hà Nội.",
    "Старый мост через реку освещён жёлтыми фонарями.",
    "Україна: їжак несе яблуко, ґанок порожній, є ще час.",
    "Η παλιά γέφυρα φωτίζεται από κίτρινα φανάρια, όπως πάντα.",
    "Ὁ ἄνθρωπος ᾤκει ἐν τῇ οἰκίᾳ τῆς πόλεως.",
    "قطة صغيرة تجلس على النافذة وتنظر إلى الحديقة.",
    "در این عکس دو کودک کنار رودخانه می‌دوند.",
    "ילד קטן רוכב על אופניים כחולים ברחוב הראשי.",
    "बच्चा लाल गेंद के साथ बगीचे में खेल रहा है।",
    "ছবিতে একটি নীল নৌকা নদীর ধারে বাঁধা আছে।",
    "சிறிய பறவை மரக்கிளையில் அமர்ந்து பாடுகிறது.",
    "ఆకాశంలో మేఘాలు తేలుతున్నాయి.",
    "ಚಿತ್ರದಲ್ಲಿ ಒಂದು ಮನೆ ಇದೆ.",
    "ചെറിയ കുട്ടി പുസ്തകം വായിക്കുന്നു.",
    "ਬੱਚਾ ਪਾਰਕ ਵਿੱਚ ਖੇਡਦਾ ਹੈ।",
    "เด็กสองคนกำลังเล่นน้ำอยู่ริมทะเล",
    "ແມວນອນຢູ່ເທິງໂຕະ",
    "ကလေးငယ်သည် ပန်းခြံထဲတွင် ကစားနေသည်။",
    "ក្មេងស្រីកំពុងអានសៀវភៅ។",
    "ბავშვი წითელ ბურთს თამაშობს ეზოში.",
    "Փոքրիկ աղջիկը կարդում է գիրք։",
    "ልጁ በአትክልት ስፍራ ውስጥ ይጫወታል።",
    "一只黑猫坐在窗台上，看着外面的雨。",
    "照片裡有兩個孩子在公園裡騎自行車。",
    "赤い自転車がパン屋の壁に立てかけてあります。",
    "ガラスのコップに氷が入っている。ｱｲｽｺｰﾋｰ",
    "작은 고양이가 창가에 앉아 비를 보고 있습니다.",
    "ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ",
    "བོད་ཡིག་གི་དཔེ་མཚོན།",
    "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ",
    "ᚠᚢᚦᚨᚱᚲ and 𐌰𐌱𐌲 and 𝔉𝔯𝔞𝔨𝔱𝔲𝔯 and 𝟘𝟙𝟚",
    "𠮷野家で𩸽を食べる。",
]

CODE = [
    "int main(int argc, char** argv) {\n  return argc > 1 ? 0 : -1;\n}\n",
    "def area(w, h):\n\tif w <= 0:\n\t\traise ValueError(f'bad width {w!r}')\n\treturn w*h\n",
    "SELECT name, COUNT(*) FROM photos WHERE taken >= '2023-01-31' GROUP BY 1;\r\n",
    '{"id": 17, "tags": ["a", "b\\n"], "ok": true, "x": -1.5e-07}',
    "for (const auto& [key, value] : map) std::cout << key << \"=\" << value << '\\n';",
    "<div class=\"row\"><p>Hello&nbsp;world</p></div>",
    "https://example.org/a/b?c=1&d=%20#frag",
    "$ ls -la ~/photos/*.jpg | wc -l  # count\n",
    "    if x:\n        y = x ** 2\n\n\n    else:\n        pass",
    "E = mc²; ∑ᵢ xᵢ² ≤ ∞ ⇒ ∀ε>0 ∃δ",
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "===========\n----------\n**bold** _it_ ~~x~~",
]

EMOJI = [
    "😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷🇯🇵", "❤️", "1️⃣", "#️⃣", "🧑🏿‍🚀", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "☃", "✈︎", "🫠", "🪿",
]

SPACES = [chr(c) for c in [*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
                           0x2028, 0x2029, 0x202F, 0x205F, 0x3000]]
NOT_SPACES = ["\u180e", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\x1c", "\x1f", "\x00"]

ADDED = [
    AddedToken("<|endoftext|>", special=True, normalized=False),
    AddedToken("<|im_start|>", special=True, normalized=False),
    AddedToken("<|im_end|>", special=True, normalized=False),
    AddedToken("<image>", special=True, normalized=False),
    AddedToken("<tool_call>", special=False, normalized=False),
    AddedToken("<tool_call>s", special=False, normalized=False),
    AddedToken("<left>", special=True, normalized=False, lstrip=True),
    AddedToken("<right>", special=False, normalized=False, rstrip=True),
    AddedToken("<both>", special=True, normalized=False, lstrip=True, rstrip=True),
    AddedToken("<n\u00e9>", special=False, normalized=True),
    AddedToken("<two words>", special=True, normalized=False),
]


def train(directory):
    tokenizer = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=""))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=256 + MERGES, min_frequency=1, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    spaces = [" " * n + "x" for n in range(1, 40)] + ["\n" * n for n in range(1, 9)]
    tokenizer.train_from_iterator(SENTENCES + CODE + EMOJI + spaces, trainer)
    for token in ADDED:
        tokenizer.add_tokens([token])
    os.makedirs(f"{directory}/json", exist_ok=True)
    os.makedirs(f"{directory}/files", exist_ok=True)
    root = json.loads(tokenizer.to_str())
    write_json(f"{directory}/json/tokenizer.json", root)
    write_json(f"{directory}/files/vocab.json", root["model"]["vocab"])
    with open(f"{directory}/files/merges.txt", "w", encoding="utf-8", newline="\n") as file:
        file.write("#version: 0.2\n")
        file.writelines(f"{left} {right}\n" for left, right in root["model"]["merges"])
    added = {token["id"]: token for token in root["added_tokens"]}
    write_json(f"{directory}/files/added_tokens.json",
               {token["content"]: i for i, token in added.items()})
    decoder = {str(i): {k: v for k, v in token.items() if k != "id"} for i, token in added.items()}
    write_json(f"{directory}/files/tokenizer_config.json",
               {"added_tokens_decoder": decoder, "tokenizer_class": "Qwen2Tokenizer"})


def write_json(path, value):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        json.dump(value, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


def assigned_code_points():
    """Everything but surrogates and characters that this Python does not know."""
    return [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cs", "Cn")]


class Strings:
    """Random strings, each of one kind."""

    def __init__(self, seed, added):
        self.rng = random.Random(seed)
        self.added = added
        self.all = assigned_code_points()
        self.bmp = [c for c in self.all if c < 0x3000]
        by_category = {}
        for c in self.all:
            by_category.setdefault(unicodedata.category(chr(c)), []).append(c)
        self.numbers = by_category["Nd"] + by_category["Nl"] + by_category["No"]
        self.marks = [c for c in self.all if unicodedata.combining(chr(c))]
        self.composed = [c for c in self.all if unicodedata.normalize("NFD", chr(c)) != chr(c)
                         and not 0xAC00 <= c < 0xD7A4]
        self.kinds = [self.sentence, self.words, self.code, self.random_all, self.random_bmp,
                      self.around, self.around, self.whitespace, self.whitespace, self.contraction,
                      self.contraction, self.digits, self.combining, self.decomposed, self.hangul,
                      self.emoji, self.special, self.special, self.control, self.runs]

    def some(self, items, low, high):
        return [self.rng.choice(items) for _ in range(self.rng.randint(low, high))]

    def chars(self, code_points, low, high):
        return "".join(map(chr, self.some(code_points, low, high)))

    def sentence(self):
        text = self.rng.choice(SENTENCES)
        start = self.rng.randrange(len(text))
        return text[start:start + self.rng.randint(5, 40)]

    def words(self):
        words = [self.rng.choice(self.rng.choice(SENTENCES).split()) for _ in range(3)]
        text = self.rng.choice([" ", "  ", "\n", "", "-", "\u00a0"]).join(words)
        return self.rng.choice([str, str.upper, str.lower, str.title])(text)

    def code(self):
        text = self.rng.choice(CODE)
        start = self.rng.randrange(len(text))
        return text[start:start + self.rng.randint(5, 40)]

    def random_all(self):
        return self.chars(self.all, 1, 6)

    def random_bmp(self):
        return self.chars(self.bmp, 1, 10)

    def around(self):
        """One character between others: shows its class."""
        c = chr(self.rng.choice(self.all))
        return self.rng.choice(["a{}b", " {}", "1{}2", "!{}?", "\n{}\n", " {} {}", "'{}", "{}{}a"]
                               ).replace("{}", c)

    def whitespace(self):
        parts = []
        for _ in range(self.rng.randint(1, 5)):
            pool = self.rng.choice([SPACES, SPACES, [" "], ["\n", " "], ["\r\n", "\n", "\t"],
                                    SPACES + NOT_SPACES])
            parts += self.some(pool, 0, 5)
            parts += self.some(["a", "Bc", "é", "7", ".", "!?", "中", "'s"], 0, 1)
        return "".join(parts)

    def contraction(self):
        suffix = self.rng.choice(["s", "t", "re", "ve", "m", "ll", "d", "x", "l", "r", "\u017f",
                                  "\u017ft", "\u212a", "\u00df", "s\u0301"])
        suffix = "".join(self.rng.choice([str.upper, str.lower])(c) if c.isascii() else c
                         for c in suffix)
        quote = self.rng.choice(["'", "'", "'", "\u2019", "''", " '"])
        after = self.rng.choice(["", " ", "x", "'", "1", "é", "\n"])
        return self.rng.choice(["it", "WE", "", "9", " ", "!", "é"]) + quote + suffix + after

    def digits(self):
        text = self.chars(self.numbers, 1, 6) + self.rng.choice(["", ".", ",", " ", "a"])
        return text + str(self.rng.randrange(10 ** self.rng.randint(1, 9)))

    def combining(self):
        return "".join(self.chars(self.bmp, 1, 1) + self.chars(self.marks, 0, 4) for _ in range(3))

    def decomposed(self):
        text = "".join(map(chr, self.some(self.composed, 1, 6)))
        text = unicodedata.normalize(self.rng.choice(["NFD", "NFD", "NFC", "NFKD"]), text)
        return self.rng.choice(["", "x", " "]) + text

    def hangul(self):
        jamo = [*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A7, 0x11C3),
                *range(0xAC00, 0xAC40)]
        return self.chars(jamo, 1, 9)

    def emoji(self):
        return "".join(self.some(EMOJI + [" ", "a", "!", "\u200d", "\ufe0f", "\U0001f3fd"], 1, 5))

    def special(self):
        pieces = [*self.added, *self.added, "<|im_", "|>", "<", "<|im_start|", "<ne\u0301>",
                  "<tool_call", " ", "  ", "\n", "\u3000", "a", "cats", "e\u0301", "user"]
        return "".join(self.some(pieces, 1, 6))

    def control(self):
        pool = [*range(0x20), *range(0x7F, 0xA1), 0xAD, *range(0x200B, 0x2010),
                *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xE000, 0xFDD0, 0xFFF9, 0xFFFC,
                0xFFFD, 0xFFFE, 0xFFFF, 0x1FFFE, 0xE0001, 0xE0061, 0xF0000, 0x10FFFD, 0x10FFFF]
        return self.rng.choice(["", "a"]) + self.chars(pool, 1, 6) + self.rng.choice(["", "b"])

    def runs(self):
        unit = self.rng.choice(["a", " ", "ab", "=", "\n", "é", "中", "the ", "\t", "0", "!\n", "."])
        return unit * self.rng.choice([2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 64])

    def next(self):
        return self.rng.choice(self.kinds)()


def decode_cases(tokenizer, rng, count):
    size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    added = sorted(tokenizer.get_added_tokens_decoder())
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    byte_tokens = sorted(tokenizer.token_to_id(c) for c in alphabet)
    for _ in range(count):
        pool = rng.choice([range(size), byte_tokens, byte_tokens, range(size + 20)])
        ids = [rng.choice(added) if rng.random() < 0.1 else rng.choice(pool)
               for _ in range(rng.randint(0, 8))]
        skip = rng.random() < 0.5
        yield "S" if skip else "D", tokenizer.decode(ids, skip_special_tokens=skip), ids


def encode_cases(tokenizer, strings, count):
    seen = {""}
    left_out = 0
    while len(seen) <= count:
        text = strings.next()
        # tokenizers' own normalisation tables are older than the Unicode version of everyone else.
        if normalizers.NFC().normalize_str(text) != unicodedata.normalize("NFC", text):
            left_out += 1
            continue
        if text not in seen:
            seen.add(text)
            yield "E", text, tokenizer.encode(text, add_special_tokens=False).ids
    print(f"{left_out} strings left out: Unicode versions differ about their form C")


def leb128(number):
    result = bytearray()
    while number >= 0x80:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)


def cases(directory, path, count):
    tokenizer = Tokenizer.from_file(f"{directory}/tokenizer.json")
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    records = [("E", "", [])]
    records += encode_cases(tokenizer, Strings(20, added), count)
    records += decode_cases(tokenizer, random.Random(21), count // 5)
    with open(path, "wb") as file:
        file.write(b"FVTEXT1\n")
        for kind, text, ids in records:
            data = text.encode("utf-8")
            file.write(kind.encode() + leb128(len(data)) + data + leb128(len(ids)))
            file.write(b"".join(map(leb128, ids)))
    print(f"{len(records)} records, {os.path.getsize(path)} bytes")


def classes(path):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for name, pattern in [("L", r"\p{L}"), ("N", r"\p{N}"), ("s", r"\s")]:
            split = pre_tokenizers.Split(Regex(pattern), "removed")
            ranges = []
            for c in range(0x110000):
                if 0xD800 <= c < 0xE000 or split.pre_tokenize_str(chr(c)):
                    continue
                if ranges and ranges[-1][1] == c - 1:
                    ranges[-1][1] = c
                else:
                    ranges.append([c, c])
            file.writelines(f"{name} {first:X} {last:X}\n" for first, last in ranges)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("train")
    command.add_argument("directory")
    command = commands.add_parser("cases")
    command.add_argument("directory")
    command.add_argument("file")
    command.add_argument("-n", type=int, default=12000, help="number of strings")
    command = commands.add_parser("classes")
    command.add_argument("file")
    arguments = parser.parse_args()
    if arguments.command == "train":
        train(arguments.directory)
    elif arguments.command == "cases":
        cases(arguments.directory, arguments.file, arguments.n)
    else:
        classes(arguments.file)


if __name__ == "__main__":
    main()
