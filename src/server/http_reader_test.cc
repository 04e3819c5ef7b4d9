#include "server/http_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

constexpr size_t kHead = 4096;

// The plain form of one request, whose bytes come in pieces of this size; "status 400" if it is
// refused, and "..." at its end if more has to come.
std::string Read(std::string_view bytes, size_t piece) {
  HttpReader reader(kHead);
  while (!bytes.empty() && !reader.complete()) {
    reader.Put(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  if (reader.problem().status != 0) return "status " + std::to_string(reader.problem().status);
  return reader.plain() + (reader.complete() ? "" : "...");
}

// The same however the bytes come.
std::string Read(std::string_view bytes) {
  std::string whole = Read(bytes, bytes.size());
  EXPECT_EQ(Read(bytes, 1), whole) << bytes;
  EXPECT_EQ(Read(bytes, 7), whole) << bytes;
  return whole;
}

std::string Post(std::string_view headers, std::string_view body = {}) {
  return "POST /x HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

TEST(HttpReader, PassesProperRequestsOn) {
  const std::string get = "GET /?a=b%20c HTTP/1.1\r\nHost: a\r\nX-Y: 1, 2\r\n\r\n";
  EXPECT_EQ(Read(get), get);
  EXPECT_EQ(Read("\r\n" + get), get);
  EXPECT_EQ(Read("\r\n\r\n" + get), get);
  EXPECT_EQ(Read("GET / HTTP/1.0\r\n\r\n"), "GET / HTTP/1.0\r\n\r\n");
  const std::string post = Post("Content-Length: 5\r\n", "hello");
  EXPECT_EQ(Read(post), post);
  EXPECT_EQ(Read(Post("Content-Length: 6\r\n", "hello")),
            Post("Content-Length: 6\r\n", "hello") + "...");
  EXPECT_EQ(Read("GET / HTTP/1.1\r\nHost: a\r\nEmpty:\r\nPadded: \t b \t\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: a\r\nEmpty: \r\nPadded: b\r\n\r\n");
}

TEST(HttpReader, ChunksLoseTheirExtensionsAndTrailers) {
  const std::string head = "Transfer-Encoding: chunked\r\n";
  const std::string body =
      "5;a=b;c=\"d e\"\r\nhello\r\n1\r\n!\r\n000;z\r\nTrailer: x\r\nContent-Length: 3\r\n\r\n";
  HttpReader reader(kHead);
  reader.Put(Post(head, "5;a\r\nhello\r\n1\r\n!\r\n0;z=\"q\"\r\nTrailer: x\r\n\r\n"));
  EXPECT_TRUE(reader.complete());
  EXPECT_EQ(reader.plain(), Post(head, "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"));
  EXPECT_EQ(Read(Post(head, body)), "status 400");  // a length where one may not be
  EXPECT_EQ(Read(Post("transfer-encoding: CHUNKED\r\n", "0\r\n\r\n")),
            Post("transfer-encoding: CHUNKED\r\n", "0\r\n\r\n"));
}

TEST(HttpReader, WhatTwoReadersCouldTakeDifferentlyIsRefused) {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  for (const std::string& request : {
           Post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
           Post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
           Post("Content-Length: 5, 5\r\n", "hello"),
           Post("Content-Length: +5\r\n", "hello"),
           Post("Content-Length: -5\r\n", "hello"),
           Post("Content-Length: 5x\r\n", "hello"),
           Post("Content-Length:\r\n", "hello"),
           Post("Content-Length: 99999999999999999999999\r\n"),
           Post("Content-Length: 5\r\n" + chunked, "0\r\n\r\n"),
           Post(chunked + "Content-Length: 5\r\n", "0\r\n\r\n"),
           Post(chunked + chunked, "0\r\n\r\n"),
           Post("Host: b\r\n"),
           Post("X: a\r\n b\r\n"),
           Post("X: a\r\n\tb\r\n"),
           Post(" X: a\r\n"),
           Post("X : a\r\n"),
           Post("X\r\n"),
           Post(": a\r\n"),
           Post("X: a\rb\r\n"),
           Post("X: a\nY: b\r\n"),
           Post(std::string("X: a\0b\r\n", 8)),
           Post(std::string("X\0: a\r\n", 7)),
           std::string("GET / HTTP/1.1\nHost: a\n\n"),
           std::string("GET / HTTP/1.1\r\n\r\n"),
           std::string("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
           std::string("GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
           std::string("GET /\r\n\r\n"),
           std::string("GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("POST / HTTP/1.0\r\n" + chunked + "\r\n0\r\n\r\n"),
           Post(chunked, "5\nhello\r\n0\r\n\r\n"),
           Post(chunked, "5 \nhello\r\n0\r\n\r\n"),
           Post(chunked, "x\r\nhello\r\n0\r\n\r\n"),
           Post(chunked, "-1\r\nhello\r\n0\r\n\r\n"),
           Post(chunked, "0x5\r\nhello\r\n0\r\n\r\n"),
           Post(chunked, "5\r\nhelloX\r\n0\r\n\r\n"),
           Post(chunked, "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
       }) {
    EXPECT_EQ(Read(request), "status 400") << request;
  }
  for (const char* coding :
       {"gzip, chunked", "chunked, gzip", "identity", "x", "chunked;q=1", ""}) {
    EXPECT_EQ(Read(Post("Transfer-Encoding: " + std::string(coding) + "\r\n", "0\r\n\r\n")),
              "status 501")
        << coding;
  }
}

TEST(HttpReader, LongHeadsAreRefused) {
  const std::string filler(kHead, 'a');
  EXPECT_EQ(Read(Post("X: " + filler + "\r\n")), "status 431");
  EXPECT_EQ(Read("GET /" + filler), "status 431");
  std::string many;
  while (many.size() < kHead) many += "X: a\r\n";
  EXPECT_EQ(Read(Post(many)), "status 431");
  const std::string extension(40'000, 'e');
  EXPECT_EQ(Read(Post("Transfer-Encoding: chunked\r\n", "1;" + extension)), "status 400");
}

TEST(HttpReader, TheNextRequestBeginsBehindTheLastOne) {
  HttpReader reader(kHead);
  const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  reader.Put(Post("Content-Length: 2\r\n", "ab" + get + "GET /next HTT"));
  EXPECT_TRUE(reader.complete());
  EXPECT_EQ(reader.plain(), Post("Content-Length: 2\r\n", "ab"));
  reader.Begin();
  EXPECT_TRUE(reader.complete());
  EXPECT_EQ(reader.plain(), get);
  reader.Begin();
  EXPECT_FALSE(reader.head_complete());
  EXPECT_EQ(reader.problem().status, 0);
  reader.Put("P/1.1\r\nHost: b\r\nHost: c\r\n\r\n");
  EXPECT_EQ(reader.problem().status, 400);
  EXPECT_THAT(reader.problem().message, HasSubstr("Host"));
}

}  // namespace
}  // namespace fastvlm
