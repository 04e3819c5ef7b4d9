#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "commands.h"
#include "fastvlm/fastvlm.h"
#include "hub/cache.h"
#include "hub/file_ops.h"
#include "model_cache.h"
#include "terminal.h"

namespace fastvlm {
namespace {

using Json = nlohmann::ordered_json;

struct ModelsFlags {
  bool json = false;
  std::vector<std::string> remove;
  CLI::App* remove_command = nullptr;
};

// One line of the list.
struct ModelRow {
  std::string name;
  std::string layout;  // or why there is none
  int64_t bytes = 0;
  std::string state;  // "bundled", "fetched", "newer" or "incomplete"
  std::string directory;
  Manifest manifest;
};

std::string Layout(const std::string& directory) {
  const Result<ModelInfo> info = InspectModel(directory);
  if (!info.ok()) return "unreadable";
  return info->layout + ", " + info->dtype;
}

Result<std::vector<ModelRow>> Rows() {
  std::vector<ModelRow> rows;
  const Result<std::string> bundled = FindBundledModel();
  if (bundled.ok()) {
    const Result<ModelInfo> info = InspectModel(*bundled);
    rows.push_back(
        {"nano", Layout(*bundled), info.ok() ? info->file_bytes : 0, "bundled", *bundled, {}});
  }
  const Result<ModelCache> cache = OpenModelCache();
  if (!cache.ok()) return cache.status();
  for (const CachedModel& model : cache->List()) {
    const char* state = !model.complete ? "incomplete" : model.newer.ok() ? "fetched" : "newer";
    rows.push_back({model.name, model.complete ? Layout(model.directory) : "-", model.bytes, state,
                    model.directory, model.manifest});
  }
  return rows;
}

void PrintTable(const std::vector<ModelRow>& rows) {
  size_t name = 4;
  size_t layout = 6;
  for (const ModelRow& row : rows) {
    name = std::max(name, row.name.size());
    layout = std::max(layout, row.layout.size());
  }
  Print("{:<{}}  {:>10}  {:<{}}  {:<10}  {}\n", "NAME", name, "SIZE", "LAYOUT", layout, "STATE",
        "PATH");
  for (const ModelRow& row : rows) {
    Print("{:<{}}  {:>10}  {:<{}}  {:<10}  {}\n", row.name, name, ByteText(row.bytes), row.layout,
          layout, row.state, row.directory);
  }
}

void PrintJson(const std::vector<ModelRow>& rows) {
  Json list = Json::array();
  for (const ModelRow& row : rows) {
    Json entry = {{"name", row.name},
                  {"bytes", row.bytes},
                  {"layout", row.layout},
                  {"state", row.state},
                  {"path", row.directory}};
    if (!row.manifest.source.empty()) {
      entry["source"] = row.manifest.source;
      entry["revision"] = row.manifest.revision;
      entry["licence"] = row.manifest.licence;
      entry["pulled"] = row.manifest.pulled;
    }
    list.push_back(std::move(entry));
  }
  WriteJson(list.dump(2, ' ', false, Json::error_handler_t::replace));
}

Status Remove(const std::vector<std::string>& names) {
  const Result<ModelCache> cache = OpenModelCache();
  if (!cache.ok()) return cache.status();
  for (const std::string& name : names) {
    const Result<int64_t> bytes = cache->Remove(name);
    if (!bytes.ok()) return bytes.status();
    Say("{} is removed, {} are free\n", name, ByteText(*bytes));
  }
  return {};
}

Status List(const ModelsFlags& flags) {
  const Result<std::vector<ModelRow>> rows = Rows();
  if (!rows.ok()) return rows.status();
  if (flags.json) {
    PrintJson(*rows);
  } else {
    PrintTable(*rows);
  }
  return {};
}

int Run(const ModelsFlags& flags) {
  const Status status = flags.remove_command->parsed() ? Remove(flags.remove) : List(flags);
  if (status.ok()) return kExitOk;
  PrintError(status);
  return ExitCode(status);
}

}  // namespace

CommandFn AddModels(CLI::App& app) {
  auto flags = std::make_shared<ModelsFlags>();
  app.footer(
      "Examples:\n"
      "  fastvlm models\n"
      "  fastvlm models --json\n"
      "  fastvlm models remove apple/FastVLM-0.5B");
  app.add_flag("--json", flags->json, "JSON instead of a table");
  flags->remove_command =
      app.add_subcommand("remove", "Delete a model, or what an unfinished pull has left");
  flags->remove_command
      ->add_option("NAME", flags->remove, "As the list has it; the part after '/' will do")
      ->required()
      ->take_all();
  return [flags] { return Run(*flags); };
}

}  // namespace fastvlm
