#include "hub/download.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "base/file.h"
#include "hub/file_ops.h"
#include "support/hub_server.h"
#include "support/random.h"
#include "support/temporary_directory.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string RandomBytes(size_t size) {
  std::mt19937_64 random(TestSeed());
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

class DownloadTest : public ::testing::Test {
 protected:
  DownloadTest() : contents_(RandomBytes(1'000'003)) {
    server_.Add("f", contents_, true);
    options_.retry_delay_ms = 1;
    options_.retries = 3;
    Digest digest(DigestKind::kSha256, 0);
    digest.Update({reinterpret_cast<const uint8_t*>(contents_.data()), contents_.size()});
    download_ = {server_.endpoint() + "/cdn/f",
                 "",
                 directory_.Path("f"),
                 static_cast<int64_t>(contents_.size()),
                 {DigestKind::kSha256, digest.Hex()}};
  }

  Status Run() {
    return DownloadFile(download_, options_, [this](int64_t done, int64_t total) {
      done_ = done;
      total_ = total;
    });
  }
  // The start of the file, as an attempt that ended after `bytes` leaves it.
  void LeavePart(size_t bytes) {
    options_.retries = 0;
    server_.drops = 1;
    server_.drop_after = bytes;
    EXPECT_EQ(Run().code(), StatusCode::kIoError);
    EXPECT_EQ(FileSize(directory_.Path("f.part")), static_cast<int64_t>(bytes));
    EXPECT_FALSE(FileExists(directory_.Path("f")));
    EXPECT_EQ(DownloadedBytes(download_), static_cast<int64_t>(bytes));
    options_.retries = 3;
    server_.Forget();
  }
  void ExpectWhole() {
    EXPECT_EQ(ReadTextFile(directory_.Path("f"), 1 << 24).value(), contents_);
    EXPECT_FALSE(FileExists(directory_.Path("f.part")));
    if (download_.digest.kind != DigestKind::kNone) {
      EXPECT_FALSE(FileExists(directory_.Path("f.part.json")));
    }
  }

  TemporaryDirectory directory_;
  std::string contents_;
  HubServer server_;
  HttpOptions options_;
  Download download_;
  int64_t done_ = 0;
  int64_t total_ = 0;
};

TEST_F(DownloadTest, Whole) {
  const Status status = Run();
  ASSERT_TRUE(status.ok()) << status.message();
  ExpectWhole();
  EXPECT_EQ(done_, 1'000'003);
  EXPECT_EQ(total_, 1'000'003);
  EXPECT_EQ(server_.requests().size(), 1u);
  EXPECT_TRUE(Run().ok());  // it is there
  EXPECT_EQ(server_.requests().size(), 1u);
}

TEST_F(DownloadTest, DroppedConnectionsAreResumed) {
  server_.drops = 6;  // more than the retries, but each brings something
  server_.drop_after = 100'000;
  const Status status = Run();
  ASSERT_TRUE(status.ok()) << status.message();
  ExpectWhole();
  const auto requests = server_.requests();
  ASSERT_EQ(requests.size(), 7u);
  EXPECT_EQ(requests[0].range, "");
  EXPECT_EQ(requests[1].range, "bytes=100000-");
  EXPECT_EQ(requests[1].if_range, "\"one\"");
  EXPECT_EQ(requests[6].range, "bytes=600000-");
}

TEST_F(DownloadTest, GivesUpWhenNothingComes) {
  server_.drops = 100;
  server_.drop_after = 0;
  const Status status = Run();
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_EQ(server_.requests().size(), 4u);
}

TEST_F(DownloadTest, ALaterCallGoesOn) {
  LeavePart(300'000);
  ASSERT_TRUE(Run().ok());
  ExpectWhole();
  ASSERT_EQ(server_.requests().size(), 1u);
  EXPECT_EQ(server_.requests()[0].range, "bytes=300000-");
}

TEST_F(DownloadTest, ACompletePartNeedsNoRequest) {
  LeavePart(300'000);
  directory_.Write("f.part", contents_);
  ASSERT_TRUE(Run().ok());
  ExpectWhole();
  EXPECT_EQ(server_.requests().size(), 0u);
}

TEST_F(DownloadTest, AnotherVersionAtTheServerStartsOver) {
  LeavePart(300'000);
  server_.etag = "\"two\"";
  ASSERT_TRUE(Run().ok());
  ExpectWhole();
  EXPECT_EQ(server_.requests()[0].if_range, "\"one\"");
}

TEST_F(DownloadTest, AServerWithoutRangesStartsOver) {
  LeavePart(300'000);
  server_.ranges = false;
  ASSERT_TRUE(Run().ok());
  ExpectWhole();
}

TEST_F(DownloadTest, APartOfOtherContentsIsNotUsed) {
  LeavePart(300'000);
  server_.Add("f", contents_ = RandomBytes(1'000'003).replace(0, 3, "new"), true);
  Digest digest(DigestKind::kSha256, 0);
  digest.Update({reinterpret_cast<const uint8_t*>(contents_.data()), contents_.size()});
  download_.digest.hex = digest.Hex();
  ASSERT_TRUE(Run().ok());
  ExpectWhole();
  EXPECT_EQ(server_.requests()[0].range, "");
}

TEST_F(DownloadTest, ADamagedPartIsFetchedAgain) {
  LeavePart(300'000);
  directory_.Write("f.part", std::string(300'000, 'x'));
  ASSERT_TRUE(Run().ok());
  ExpectWhole();
  EXPECT_EQ(server_.requests().size(), 2u);
}

TEST_F(DownloadTest, APartThatIsTooLongIsFetchedAgain) {
  LeavePart(300'000);
  directory_.Write("f.part", contents_ + "more");
  ASSERT_TRUE(Run().ok());
  ExpectWhole();
}

TEST_F(DownloadTest, WrongChecksum) {
  server_.sent_instead["f"] = RandomBytes(1'000'003).replace(500, 1, "!!").substr(0, 1'000'003);
  const Status status = Run();
  EXPECT_EQ(status.code(), StatusCode::kDataError);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("wrong checksum"), HasSubstr(download_.digest.hex)));
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(DownloadTest, WrongSize) {
  server_.sent_instead["f"] = contents_ + "!";
  Status status = Run();
  EXPECT_EQ(status.code(), StatusCode::kDataError);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("1000003"), HasSubstr("1000004")));
  server_.sent_instead["f"] = contents_.substr(0, 999);
  EXPECT_EQ(Run().code(), StatusCode::kDataError);
  EXPECT_FALSE(FileExists(directory_.Path("f")));
}

TEST_F(DownloadTest, UnknownSizeAndDigest) {
  download_.size = -1;
  download_.digest = {};
  int64_t asked = 0;
  const auto size_known = [&](int64_t bytes) {
    asked = bytes;
    return Status();
  };
  LeavePart(300'000);
  ASSERT_TRUE(DownloadFile(download_, options_, {}, size_known).ok());
  EXPECT_EQ(asked, 1'000'003);
  EXPECT_EQ(server_.requests()[0].range, "bytes=300000-");
  ExpectWhole();
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(server_.requests().size(), 1u);
  download_.url = server_.endpoint() + "/cdn/g";  // not what the file is of
  server_.Add("g", "other");
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(ReadTextFile(directory_.Path("f"), 100).value(), "other");
}

TEST_F(DownloadTest, WithoutAValidatorAnUnknownFileStartsOver) {
  download_.digest = {};
  server_.etag = "";
  LeavePart(300'000);
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(server_.requests()[0].range, "");
  ExpectWhole();
}

TEST_F(DownloadTest, ServerTroubleIsRetried) {
  for (int status : {429, 500, 503}) {
    server_.Forget();
    server_.refusal_status = status;
    server_.refusals = 2;
    std::filesystem::remove(directory_.Path("f"));
    ASSERT_TRUE(Run().ok()) << status;
    EXPECT_EQ(server_.requests().size(), 3u);
    server_.refusals = 100;
    std::filesystem::remove(directory_.Path("f"));
    const Status failed = Run();
    EXPECT_EQ(failed.code(), StatusCode::kIoError);
    EXPECT_THAT(failed.message(), HasSubstr(std::to_string(status)));
    server_.refusals = 0;
  }
}

TEST_F(DownloadTest, RefusalsAreNotRetried) {
  const struct {
    int status;
    StatusCode code;
    const char* text;
  } kCases[] = {{401, StatusCode::kIoError, "HF_TOKEN"},
                {403, StatusCode::kIoError, "terms"},
                {404, StatusCode::kNotFound, "check the name"}};
  for (const auto& test : kCases) {
    server_.Forget();
    server_.refusal_status = test.status;
    server_.refusals = 1;
    const Status status = Run();
    EXPECT_EQ(status.code(), test.code);
    EXPECT_THAT(status.message(), AllOf(HasSubstr(test.text), HasSubstr("the server said no")));
    EXPECT_EQ(server_.requests().size(), 1u);
  }
}

TEST_F(DownloadTest, TheTokenStaysWithItsHost) {
  HubServer hub;
  hub.Add("f", contents_, true);
  hub.token = "secret";
  hub.redirect = server_.endpoint();
  download_.url = hub.endpoint() + "/owner/model/resolve/main/f";
  EXPECT_EQ(Run().code(), StatusCode::kIoError);  // without it
  download_.token = "secret";
  const Status status = Run();
  ASSERT_TRUE(status.ok()) << status.message();
  ExpectWhole();
  EXPECT_EQ(hub.requests().back().authorization, "Bearer secret");
  ASSERT_EQ(server_.requests().size(), 1u);
  EXPECT_EQ(server_.requests()[0].authorization, "");
}

TEST_F(DownloadTest, NoServer) {
  download_.url = "http://127.0.0.1:1/f";
  const Status status = Run();
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("cannot connect"), HasSubstr("online")));
  download_.url = "http://no-such-host.invalid/f";
  EXPECT_THAT(Run().message(), HasSubstr("cannot connect"));
  download_.url = "file:///etc/passwd";
  EXPECT_FALSE(Run().ok());
}

TEST_F(DownloadTest, StallsAreDropped) {
  options_.stall_timeout_s = 2;
  server_.hold_after = 100'000;
  server_.holds = 1;
  const Status status = Run();
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(server_.requests().size(), 2u);
  ExpectWhole();
}

TEST_F(DownloadTest, StopsWhenAsked) {
  server_.hold_after = 300'000;
  server_.holds = 1;
  options_.stop = [this] { return done_ > 200'000; };
  EXPECT_EQ(Run().code(), StatusCode::kCancelled);
  EXPECT_GT(FileSize(directory_.Path("f.part")), 200'000);
  options_.stop = {};
  server_.Forget();
  ASSERT_TRUE(Run().ok());
  EXPECT_NE(server_.requests()[0].range, "");
  ExpectWhole();
}

TEST_F(DownloadTest, ADirectoryInTheWay) {
  std::filesystem::create_directory(directory_.Path("f.part"));
  const Status status = Run();
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_THAT(status.message(), HasSubstr("f.part"));
}

}  // namespace
}  // namespace fastvlm
