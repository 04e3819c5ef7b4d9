#include "hub/pull.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/file.h"
#include "hub/file_ops.h"
#include "support/hub_server.h"
#include "support/temporary_directory.h"
#include "support/zip_writer.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class PullTest : public ::testing::Test {
 protected:
  PullTest() {
    server_.Add("config.json", "{\"a\": 1}");
    server_.Add("vocab.json", "{}");
    server_.Add("LICENSE", "for research only");
    server_.Add("model.safetensors", weights_, true);
    server_.Add("README.md", "not needed");
    server_.Add("onnx/model.onnx", "not needed", true);
    options_.endpoint = server_.endpoint();
    options_.http.retry_delay_ms = 1;
    options_.http.retries = 2;
    events_.licence = [this](const std::string& text) {
      licences_.push_back(text);
      return true;
    };
    events_.planned = [this](const PullPlan& plan) { plan_ = plan; };
    events_.progress = [this](const std::string&, int64_t done, int64_t total) {
      done_ = done;
      total_ = total;
    };
  }

  Result<PulledModel> Pull(const std::string& name = "owner/model") {
    return PullModel(ParseModelSource(name).value(), cache_, options_, events_);
  }
  std::string Read(const std::string& file) {
    return ReadTextFile(cache_.ModelDirectory("owner/model") + "/" + file, 1 << 24).value();
  }

  const std::string weights_ = std::string(400'000, 'w') + std::string(400'000, 'v');
  TemporaryDirectory temporary_;
  ModelCache cache_{temporary_.Path("cache")};
  HubServer server_;
  PullOptions options_;
  PullEvents events_;
  PullPlan plan_;
  std::vector<std::string> licences_;
  int64_t done_ = 0;
  int64_t total_ = 0;
};

TEST_F(PullTest, FromTheHub) {
  const auto pulled = Pull();
  ASSERT_TRUE(pulled.ok()) << pulled.status().message();
  EXPECT_EQ(pulled->name, "owner/model");
  EXPECT_EQ(pulled->directory, cache_.ModelDirectory("owner/model"));
  EXPECT_FALSE(pulled->was_there);
  EXPECT_EQ(Read("model.safetensors"), weights_);
  EXPECT_EQ(Read("config.json"), "{\"a\": 1}");
  EXPECT_FALSE(FileExists(pulled->directory + "/README.md"));
  EXPECT_FALSE(DirectoryExists(cache_.PartialDirectory("owner/model")));
  EXPECT_EQ(plan_.files, 4);
  EXPECT_EQ(plan_.bytes, 800'000 + 8 + 2 + 17);
  EXPECT_EQ(plan_.licence, "test-licence");
  EXPECT_EQ(done_, plan_.bytes);
  EXPECT_EQ(total_, plan_.bytes);
  EXPECT_THAT(licences_, ::testing::ElementsAre("for research only"));
  // Files are those of the commit the listing is about, the licence before the weights.
  const auto requests = server_.requests();
  EXPECT_THAT(requests[1].path, HasSubstr("/resolve/" + server_.commit + "/LICENSE"));
  const CachedModel model = cache_.Find("owner/model").value();
  EXPECT_EQ(model.manifest.revision, server_.commit);
  EXPECT_EQ(model.manifest.source, "hf:owner/model@main");

  server_.Forget();
  EXPECT_TRUE(Pull()->was_there);
  EXPECT_EQ(server_.requests().size(), 1u);
  EXPECT_EQ(licences_.size(), 1u);
}

TEST_F(PullTest, ANewVersionFetchesWhatChanged) {
  ASSERT_TRUE(Pull().ok());
  server_.Forget();
  server_.commit = std::string(40, 'b');
  server_.Add("config.json", "{\"a\": 2}");
  const auto pulled = Pull();
  ASSERT_TRUE(pulled.ok()) << pulled.status().message();
  EXPECT_EQ(Read("config.json"), "{\"a\": 2}");
  EXPECT_EQ(Read("model.safetensors"), weights_);
  EXPECT_EQ(server_.requests().size(), 2u);
  EXPECT_EQ(cache_.Find("owner/model")->manifest.revision, server_.commit);
  EXPECT_EQ(cache_.List().size(), 1u);
  EXPECT_TRUE(std::filesystem::is_empty(temporary_.Path("cache/old")));
}

TEST_F(PullTest, AFileThatWasLostIsFetchedAgain) {
  ASSERT_TRUE(Pull().ok());
  std::filesystem::remove(cache_.ModelDirectory("owner/model") + "/config.json");
  EXPECT_FALSE(Pull()->was_there);
  EXPECT_EQ(Read("config.json"), "{\"a\": 1}");
}

TEST_F(PullTest, GoesOnAfterAnError) {
  options_.http.retries = 0;
  server_.drops = 4;  // the small files come whole
  server_.drop_after = 100'000;
  const auto failed = Pull();
  EXPECT_EQ(failed.status().code(), StatusCode::kIoError);
  EXPECT_FALSE(cache_.Find("owner/model").ok());
  ASSERT_EQ(cache_.List().size(), 1u);
  EXPECT_FALSE(cache_.List()[0].complete);
  server_.Forget();
  server_.drops = 0;
  ASSERT_TRUE(Pull().ok());
  EXPECT_EQ(plan_.already_there, 100'000 + 8 + 2 + 17);
  ASSERT_EQ(server_.requests().size(), 2u);
  EXPECT_EQ(server_.requests()[1].range, "bytes=100000-");
  EXPECT_EQ(Read("model.safetensors"), weights_);
}

TEST_F(PullTest, WhatAnOlderAttemptLeftIsChecked) {
  ASSERT_TRUE(MakeDirectories(cache_.PartialDirectory("owner/model")).ok());
  temporary_.Write("cache/partial/owner/model/config.json", "{\"a\": 0}");  // of the same size
  temporary_.Write("cache/partial/owner/model/stray.bin", "x");
  ASSERT_TRUE(Pull().ok());
  EXPECT_EQ(Read("config.json"), "{\"a\": 1}");
  EXPECT_FALSE(FileExists(cache_.ModelDirectory("owner/model") + "/stray.bin"));
}

TEST_F(PullTest, WrongChecksumLeavesNoModel) {
  server_.sent_instead["model.safetensors"] = std::string(800'000, 'x');
  const auto pulled = Pull();
  EXPECT_EQ(pulled.status().code(), StatusCode::kDataError);
  EXPECT_THAT(pulled.status().message(), HasSubstr("wrong checksum"));
  EXPECT_FALSE(cache_.Find("owner/model").ok());
}

TEST_F(PullTest, TooLittleSpace) {
  options_.free_bytes = [](const std::string&) { return int64_t{1'000'000}; };
  const auto pulled = Pull();
  EXPECT_EQ(pulled.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(pulled.status().message(),
              AllOf(HasSubstr("free space"), HasSubstr("XDG_CACHE_HOME")));
  EXPECT_EQ(server_.requests().size(), 1u) << "nothing is fetched";
  EXPECT_TRUE(cache_.List().empty());
}

TEST_F(PullTest, ALicenceThatIsRefused) {
  events_.licence = [](const std::string&) { return false; };
  EXPECT_EQ(Pull().status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(server_.RequestsOf("model.safetensors").empty());
  events_.licence = [this](const std::string& text) {
    licences_.push_back(text);
    return true;
  };
  ASSERT_TRUE(Pull().ok());
  EXPECT_EQ(licences_.size(), 1u) << "it has not been accepted before";
}

TEST_F(PullTest, HostileListings) {
  const std::string sha(40, 'a');
  const auto file = [&](const std::string& name) {
    return "{\"rfilename\": \"" + name + "\", \"size\": 1, \"blobId\": \"" + sha + "\"}";
  };
  for (const char* name :
       {"../../evil", "/tmp/evil", "a/../../evil", "model-00001-of-00002.safetensors/../x"}) {
    server_.listing = "{\"sha\": \"" + sha + "\", \"siblings\": [" + file("config.json") + "," +
                      file(name) + "]}";
    const auto pulled = Pull();
    EXPECT_EQ(pulled.status().code(), StatusCode::kUnsupported) << name;
    EXPECT_TRUE(cache_.List().empty());
  }
  server_.listing = "<html>";
  EXPECT_EQ(Pull().status().code(), StatusCode::kDataError);
}

TEST_F(PullTest, EndpointAndToken) {
  options_.endpoint = "ftp://hub";
  EXPECT_EQ(Pull().status().code(), StatusCode::kInvalidArgument);
  options_.endpoint = "http://hub.example";
  options_.token = "secret";
  const auto plain = Pull();
  EXPECT_EQ(plain.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(plain.status().message(), HasSubstr("https"));
  options_.endpoint = "http://localhost.example";
  EXPECT_EQ(Pull().status().code(), StatusCode::kInvalidArgument);
  options_.endpoint = server_.endpoint();
  server_.token = "secret";
  HubServer cdn;
  cdn.Add("model.safetensors", weights_, true);
  server_.redirect = cdn.endpoint();
  ASSERT_TRUE(Pull().ok());
  ASSERT_EQ(cdn.requests().size(), 1u);
  EXPECT_EQ(cdn.requests()[0].authorization, "");
  options_.token = "";
  EXPECT_THAT(Pull().status().message(), HasSubstr("HF_TOKEN"));
}

TEST_F(PullTest, APasswordInTheEndpointIsRefusedAndNotShown) {
  options_.endpoint = "http://user:geheim@127.0.0.1:1";
  const Status status = Pull().status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("HF_ENDPOINT"), Not(HasSubstr("geheim"))));
  EXPECT_TRUE(server_.requests().empty());
  const Status archive = ParseModelSource("https://user:geheim@host/model.zip").status();
  EXPECT_EQ(archive.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(archive.message(), Not(HasSubstr("geheim")));
  // A server may not lead there either.
  server_.redirect = "http://user:geheim@127.0.0.1:1";
  options_.endpoint = server_.endpoint();
  options_.http.retries = 0;
  EXPECT_FALSE(Pull().ok());
}

TEST_F(PullTest, OfARefusedArchiveNothingIsKept) {
  const struct {
    std::string bytes;
    const char* message;
  } kCases[] = {
      {"no zip at all", "zip"},
      {MakeZip({{"readme.txt", "no model"}}), "no model"},
      {MakeZip({{"config.json", "{}"}, {"model.safetensors", "w"}, {"../evil", "x"}}), "leads out"},
      {MakeZip({{"config.json", "{}"}, {"model.safetensors", std::string(30'000'000, '\0')}}, true),
       "would unpack"},
  };
  for (const auto& refused : kCases) {
    server_.Add("m.zip", refused.bytes);
    const auto pulled = Pull(server_.endpoint() + "/cdn/m.zip");
    ASSERT_FALSE(pulled.ok()) << refused.message;
    EXPECT_THAT(pulled.status().message(), HasSubstr(refused.message));
    EXPECT_TRUE(cache_.List().empty()) << refused.message;
    EXPECT_FALSE(PathExists(cache_.root() + "/partial/zip")) << refused.message;
  }
}

TEST_F(PullTest, TwoAtOnceShareTheWork) {
  // The server stands still half way until whoever came second says that it waits.
  server_.hold_after = 100'000;
  server_.holds = 1;
  Result<PulledModel> first = PulledModel();
  Result<PulledModel> second = PulledModel();
  PullEvents events;
  events.note = [&](const std::string& note) {
    if (note.find("waiting for it") != note.npos) server_.Release();
  };
  const auto pull = [&](Result<PulledModel>* result) {
    *result = PullModel(ParseModelSource("owner/model").value(), cache_, options_, events);
  };
  std::thread one(pull, &first);
  std::thread two(pull, &second);
  one.join();
  two.join();
  ASSERT_TRUE(first.ok()) << first.status().message();
  ASSERT_TRUE(second.ok()) << second.status().message();
  EXPECT_NE(first->was_there, second->was_there);
  EXPECT_EQ(server_.RequestsOf("model.safetensors").size(), 1u);
}

TEST_F(PullTest, Archive) {
  server_.Add("m.zip", MakeZip({{"__MACOSX/m/._config.json", "x"},
                                {"m/LICENSE", "terms"},
                                {"m/config.json", "{}"},
                                {"m/model.safetensors", weights_},
                                {"m/trainer_state.json", "{}"}}));
  const std::string url = server_.endpoint() + "/cdn/m.zip";
  server_.drops = 1;
  server_.drop_after = 200'000;
  auto pulled = Pull(url);
  ASSERT_TRUE(pulled.ok()) << pulled.status().message();
  EXPECT_EQ(pulled->name, "zip/m");
  EXPECT_EQ(pulled->bytes, 800'000 + 2 + 5);
  EXPECT_EQ(ReadTextFile(pulled->directory + "/model.safetensors", 1 << 24).value(), weights_);
  EXPECT_FALSE(FileExists(pulled->directory + "/trainer_state.json"));
  EXPECT_FALSE(FileExists(pulled->directory + "/archive.zip"));
  EXPECT_THAT(licences_, ::testing::ElementsAre("terms"));
  EXPECT_EQ(server_.requests()[1].range, "bytes=200000-");
  EXPECT_TRUE(Pull(url)->was_there);
  EXPECT_EQ(server_.requests().size(), 2u);
  options_.sha256 = std::string(64, '0');
  const auto wrong = Pull(url);
  EXPECT_EQ(wrong.status().code(), StatusCode::kDataError);
  EXPECT_TRUE(cache_.Find("zip/m").ok()) << "the old one stays";
}

TEST_F(PullTest, BadArchives) {
  const std::string good = MakeZip({{"m/config.json", "{}"}, {"m/model.safetensors", weights_}});
  server_.Add("cut.zip", good.substr(0, good.size() / 2));
  server_.Add("out.zip",
              MakeZip({{"m/config.json", "{}"}, {"m/model.safetensors", "w"}, {"../evil", "x"}}));
  server_.Add("html.zip", "<html>not found</html>");
  server_.Add("empty.zip", "");
  for (const char* name : {"cut", "out", "html", "empty"}) {
    const auto pulled = Pull(server_.endpoint() + "/cdn/" + name + ".zip");
    EXPECT_EQ(pulled.status().code(), StatusCode::kDataError) << name << pulled.status().message();
    EXPECT_TRUE(cache_.List().empty()) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(temporary_.Path("evil")));
  EXPECT_FALSE(std::filesystem::exists(temporary_.Path("cache/evil")));
  options_.free_bytes = [](const std::string&) { return int64_t{1'000'000}; };
  server_.Add("good.zip", good);
  EXPECT_EQ(Pull(server_.endpoint() + "/cdn/good.zip").status().code(),
            StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace fastvlm
