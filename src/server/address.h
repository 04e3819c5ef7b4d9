// Which addresses of the network are open to everybody.
#ifndef FASTVLM_SERVER_ADDRESS_H_
#define FASTVLM_SERVER_ADDRESS_H_

struct sockaddr;

namespace fastvlm {

// False for loopback, private, link-local, shared, documentation, multicast and other special
// addresses of IPv4 and IPv6, and for IPv6 addresses that wrap an IPv4 address. Sources: the
// special-purpose address registries of IANA (RFC 6890).
bool IsPublicAddress(const sockaddr& address);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_ADDRESS_H_
