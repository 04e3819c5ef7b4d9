#include "server/address.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace fastvlm {
namespace {

struct Block4 {
  uint8_t a, b, c, d;
  int bits;
};

constexpr Block4 kSpecial4[] = {
    {0, 0, 0, 0, 8},      {10, 0, 0, 0, 8},     {100, 64, 0, 0, 10}, {127, 0, 0, 0, 8},
    {169, 254, 0, 0, 16}, {172, 16, 0, 0, 12},  {192, 0, 0, 0, 24},  {192, 0, 2, 0, 24},
    {192, 88, 99, 0, 24}, {192, 168, 0, 0, 16}, {198, 18, 0, 0, 15}, {198, 51, 100, 0, 24},
    {203, 0, 113, 0, 24}, {224, 0, 0, 0, 4},    {240, 0, 0, 0, 4},
};

bool IsPublic4(uint32_t address) {
  for (const Block4& block : kSpecial4) {
    const uint32_t base = static_cast<uint32_t>(block.a) << 24 |
                          static_cast<uint32_t>(block.b) << 16 |
                          static_cast<uint32_t>(block.c) << 8 | block.d;
    if (((address ^ base) >> (32 - block.bits)) == 0) return false;
  }
  return true;
}

// Global unicast is 2000::/3; within it 2001::/23 (Teredo and others), 2001:db8::/32 and 3fff::/20
// (documentation) and 2002::/16 (6to4) are special. Mapped and translated IPv4 addresses lie
// outside.
bool IsPublic6(const std::array<uint8_t, 16>& a) {
  if ((a[0] & 0xe0) != 0x20) return false;
  if (a[0] == 0x20 && a[1] == 0x01 && (a[2] & 0xfe) == 0) return false;
  if (a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8) return false;
  if (a[0] == 0x20 && a[1] == 0x02) return false;
  return !(a[0] == 0x3f && a[1] == 0xff && (a[2] & 0xf0) == 0);
}

}  // namespace

bool IsPublicAddress(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof(v4));
    return IsPublic4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof(v6));
    std::array<uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return IsPublic6(bytes);
  }
  return false;
}

}  // namespace fastvlm
