#include "base/printable.h"

#include <gtest/gtest.h>

namespace fastvlm {
namespace {

TEST(Printable, ReplacesWhatSteersATerminal) {
  EXPECT_EQ(Printable("a\033[31mb"), "a?[31mb");
  EXPECT_EQ(Printable("a\nb\tc\rd"), "a?b?c?d");
  EXPECT_EQ(Printable(std::string("a\0b", 3)), "a?b");
  EXPECT_EQ(Printable("\x7f"), "?");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "31m"),
            "?31m");  // CSI as UTF-8
  EXPECT_EQ(Printable("\xc2\x80\xc2\x9f\xc2\xa0"), "??\xc2\xa0");
  EXPECT_EQ(Printable("\x9b"
                      "31m"),
            "?31m");  // CSI as a byte
  EXPECT_EQ(Printable("\xe2\x80\xae"
                      "txt.exe"),
            "?txt.exe");  // right to left
  EXPECT_EQ(Printable("\xe2\x81\xa6\xe2\x80\xa8"), "??");
}

TEST(Printable, LeavesTextAlone) {
  for (const char* text : {"", "plain", "Grüße", "日本語", "🦊", "שלום", "a'b\"c\\"}) {
    EXPECT_EQ(Printable(text), text);
    EXPECT_EQ(TerminalText(text), text);
  }
}

TEST(Printable, BytesThatAreNoUtf8) {
  EXPECT_EQ(Printable("\xff\xfe"), "??");
  EXPECT_EQ(Printable("\xc3"), "?");
  EXPECT_EQ(Printable("\xe2\x80"), "??");
  EXPECT_EQ(Printable("\xc0\x9b"), "??");  // too long for what it says
  EXPECT_EQ(Printable("\xe0\x80\x9b"), "???");
  EXPECT_EQ(Printable("\xed\xa0\x80"), "???");       // a surrogate
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"), "????");  // beyond the last character
}

TEST(Printable, CutsBetweenCharacters) {
  EXPECT_EQ(Printable(std::string(250, 'a')), std::string(200, 'a') + "...");
  EXPECT_EQ(Printable(std::string(199, 'a') + "üü"), std::string(199, 'a') + "...");
  EXPECT_EQ(Printable(std::string(200, 'a')), std::string(200, 'a'));
}

TEST(TerminalText, KeepsLinesAndLength) {
  EXPECT_EQ(TerminalText("a\n\tb\033c\r"), "a\n\tb?c?");
  EXPECT_EQ(TerminalText(std::string(1000, 'a')).size(), 1000u);
}

TEST(TerminalJson, EscapesWithoutChangingTheValue) {
  EXPECT_EQ(TerminalJson("{\"a\":\"\x7f\xc2\x9b\xc2\x80\xc2\xa0\xc3\x9f\"}"),
            "{\"a\":\"\\u007f\\u009b\\u0080\xc2\xa0\xc3\x9f\"}");
  EXPECT_EQ(TerminalJson("[1, 2]\n"), "[1, 2]\n");
}

}  // namespace
}  // namespace fastvlm
