#include "server/origin.h"

#include <gtest/gtest.h>

namespace fastvlm {
namespace {

TEST(Origin, AsBrowsersSendThem) {
  for (const char* origin : {"https://app.example", "http://localhost:3000",
                             "http://127.0.0.1:8080", "http://[::1]:3000", "https://[2001:db8::1]",
                             "chrome-extension://abcdefgh", "https://a-b.c_d.example:65535"}) {
    EXPECT_TRUE(IsOrigin(origin)) << origin;
  }
  for (const char* other : {"",
                            "evil",
                            "*",
                            "null",
                            "localhost:3000",
                            "https://",
                            "https://app.example/",
                            "https://app.example/path",
                            "https://App.example",
                            "HTTPS://app.example",
                            "https://app.example:",
                            "https://app.example:0",
                            "https://app.example:65536",
                            "https://app.example:80a",
                            "https://user@app.example",
                            "https://a b",
                            "https://a\n",
                            "https://*.example",
                            "https://[::1",
                            "https://[]",
                            "://a",
                            "1http://a",
                            "https://[::1]x"}) {
    EXPECT_FALSE(IsOrigin(other)) << other;
  }
}

}  // namespace
}  // namespace fastvlm
