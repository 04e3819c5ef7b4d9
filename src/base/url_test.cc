#include "base/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fastvlm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Url, OfHttpWithoutAUser) {
  for (const char* url : {"https://huggingface.co", "http://localhost:8080/a/b?c=d#e",
                          "https://host/a@b", "https://host/?q=a@b", "http://[::1]:80/x"}) {
    EXPECT_TRUE(CheckUrl(url).ok()) << url;
  }
}

TEST(Url, PasswordsAreRefusedAndNotShown) {
  for (const char* url :
       {"http://user:geheim@host/x", "https://geheim@host", "https://user:geheim@", "geheim@host",
        "http://a:geheim@b@host/", "http://user:geheim@host?x", "http://user:geheim@host#x",
        "ftp://user:geheim@host", "http://user:geheim\\@host"}) {
    const Status status = CheckUrl(url);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << url;
    EXPECT_THAT(status.message(), Not(HasSubstr("geheim"))) << url;
  }
  EXPECT_THAT(CheckUrl("http://user:geheim@host/x").message(), HasSubstr("\"host\""));
}

TEST(Url, CharactersThatNoUrlHas) {
  using namespace std::string_view_literals;
  for (const std::string_view url :
       {"http://host/a b"sv, "http://host\0.evil"sv, "http://host/\n"sv, "http://host/\x7f"sv,
        "http://host/\xc3\xbc"sv}) {
    EXPECT_EQ(CheckUrl(url).code(), StatusCode::kInvalidArgument);
  }
  EXPECT_THAT(CheckUrl("http://host\0.evil"sv).message(), HasSubstr("byte 0x00 at 11"));
  for (const char* url : {"", "host", "file:///etc/passwd", "HTTP//x"}) {
    EXPECT_THAT(CheckUrl(url).message(), HasSubstr("expected a URL")) << url;
  }
}

}  // namespace
}  // namespace fastvlm
