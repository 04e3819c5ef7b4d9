#include "server/access.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "server/address.h"

namespace fastvlm {
namespace {

AccessHeaders From(std::string_view host, std::string_view origin = {}) {
  return {{}, {}, host, origin};
}

AccessOptions Options(std::vector<std::string> keys, std::vector<std::string> origins = {},
                      std::vector<std::string> hosts = {}, bool loopback = true) {
  return {std::move(keys), std::move(origins), std::move(hosts), loopback, {}};
}

int StatusOf(const std::optional<ApiError>& error) { return error.has_value() ? error->status : 0; }

// The number of the key that these headers hold, -1 if they are refused.
int64_t KeyIn(const Access& access, std::string_view authorization, std::string_view x = {}) {
  uint64_t key = 99;
  const std::optional<ApiError> error = access.CheckKey({authorization, x, {}, {}}, &key);
  if (!error.has_value()) return static_cast<int64_t>(key);
  EXPECT_EQ(error->status, 401);
  EXPECT_EQ(key, 0U);
  return -1;
}

TEST(Keys, OneOfThemIsNeeded) {
  const Access access(Options({"first", "second"}));
  EXPECT_EQ(KeyIn(access, "Bearer first"), 1);
  EXPECT_EQ(KeyIn(access, "bearer  second"), 2);
  EXPECT_EQ(KeyIn(access, "", "second"), 2);
  EXPECT_EQ(KeyIn(access, "", "third"), -1);
  for (const char* wrong : {"", "first", "Basic first", "Bearer", "Bearer ", "Bearer firs",
                            "Bearer firstt", "Bearer First", "Bearer first second"}) {
    EXPECT_EQ(KeyIn(access, wrong), -1) << wrong;
  }
  EXPECT_EQ(KeyIn(Access({}), ""), 0);
}

TEST(Source, ALoopbackServerIsOnlyCalledByLoopbackNames) {
  const Access access(Options({}, {}, {"vlm.example"}));
  for (const char* right : {"localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1:8080",
                            "127.1.2.3", "[::1]:8080", "app.localhost", "vlm.example:443", ""}) {
    EXPECT_EQ(StatusOf(access.CheckSource(From(right))), 0) << right;
  }
  for (const char* wrong : {"evil.example", "evil.example:8080", "127.0.0.1.evil.example",
                            "localhost.evil.example", "192.168.0.1", "[::2]:80", "0.0.0.0"}) {
    EXPECT_EQ(StatusOf(access.CheckSource(From(wrong))), 403) << wrong;
  }
}

TEST(Source, AServerForAllIsCalledByAddressesAndItsOwnNames) {
  AccessOptions options = Options({}, {}, {"vlm.example"}, /*loopback=*/false);
  options.machine_name = "Box.lan";
  const Access open(options);
  for (const char* right : {"localhost:8080", "192.168.0.1:8080", "[fe80::1]:80", "box:1",
                            "BOX.lan", "box.local:8080", "box.lan.", "vlm.example", ""}) {
    EXPECT_EQ(StatusOf(open.CheckSource(From(right))), 0) << right;
  }
  for (const char* wrong : {"evil.example", "box.evil.example", "box.lan.evil", "1.2.3.4.evil"}) {
    EXPECT_EQ(StatusOf(open.CheckSource(From(wrong))), 403) << wrong;
  }
  options.api_keys = {"key"};  // which a foreign page does not know
  EXPECT_EQ(StatusOf(Access(options).CheckSource(From("evil.example"))), 0);
}

TEST(Source, PagesOfOthersAreRefusedUnlessAllowed) {
  const Access closed({});
  EXPECT_EQ(StatusOf(closed.CheckSource(From("localhost:80", "http://localhost:80"))), 0);
  for (const char* foreign :
       {"https://evil.example", "null", "http://localhost:81", "localhost:80"}) {
    EXPECT_EQ(StatusOf(closed.CheckSource(From("localhost:80", foreign))), 403) << foreign;
  }
  const Access one(Options({}, {"https://app.example"}));
  EXPECT_EQ(StatusOf(one.CheckSource(From("localhost", "https://app.example"))), 0);
  EXPECT_EQ(one.AllowedOrigin("https://app.example"), "https://app.example");
  EXPECT_EQ(one.AllowedOrigin("https://app.example.evil"), "");
  EXPECT_EQ(Access(Options({}, {"*"})).AllowedOrigin("null"), "*");
  EXPECT_EQ(closed.AllowedOrigin("https://app.example"), "");
}

bool IsPublic(const std::string& text) {
  sockaddr_storage storage{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr), 1) << text;
    v6.sin6_family = AF_INET6;
  }
  return IsPublicAddress(reinterpret_cast<sockaddr&>(storage));
}

TEST(Address, OnlyPublicOnesAre) {
  for (const char* open : {"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1",
                           "172.32.0.1", "192.167.1.1", "198.17.0.1", "198.20.0.1",
                           "223.255.255.255", "2606:4700:4700::1111", "2a00::1", "2001:200::1"}) {
    EXPECT_TRUE(IsPublic(open)) << open;
  }
  for (const char* closed : {"0.0.0.0",
                             "0.1.2.3",
                             "10.0.0.1",
                             "100.64.0.1",
                             "100.127.255.255",
                             "127.0.0.1",
                             "127.255.255.255",
                             "169.254.169.254",
                             "172.16.0.1",
                             "172.31.255.255",
                             "192.0.0.1",
                             "192.0.2.1",
                             "192.88.99.1",
                             "192.168.1.1",
                             "198.18.0.1",
                             "198.19.255.255",
                             "198.51.100.1",
                             "203.0.113.1",
                             "224.0.0.1",
                             "239.1.1.1",
                             "240.0.0.1",
                             "255.255.255.255",
                             "::",
                             "::1",
                             "::ffff:127.0.0.1",
                             "::ffff:8.8.8.8",
                             "::127.0.0.1",
                             "64:ff9b::7f00:1",
                             "64:ff9b:1::1",
                             "100::1",
                             "2001::1",
                             "2001:db8::1",
                             "2002:7f00:1::1",
                             "3fff::1",
                             "fc00::1",
                             "fd12::1",
                             "fe80::1",
                             "fec0::1",
                             "ff02::1"}) {
    EXPECT_FALSE(IsPublic(closed)) << closed;
  }
  sockaddr local{};
  local.sa_family = AF_UNIX;
  EXPECT_FALSE(IsPublicAddress(local));
}

}  // namespace
}  // namespace fastvlm
