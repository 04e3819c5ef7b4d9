#include <dlfcn.h>
#include <link.h>

#include <filesystem>
#include <system_error>

#include "base/status.h"
#include "fastvlm/system.h"

namespace fastvlm {
namespace {

constexpr const char* kBundledModel = "share/fastvlm/models/nano";

// The file that this code was loaded from: the shared library, or the program it is linked into.
std::filesystem::path OwnFile(std::error_code& error) {
  Dl_info info;
  link_map* object = nullptr;
  const bool found = dladdr1(reinterpret_cast<const void*>(&FindBundledModel), &info,
                             reinterpret_cast<void**>(&object), RTLD_DL_LINKMAP) != 0;
  // The dynamic linker gives a program itself no name.
  const bool is_library = found && object != nullptr && object->l_name[0] != '\0';
  return std::filesystem::canonical(is_library ? object->l_name : "/proc/self/exe", error);
}

}  // namespace

Result<std::string> FindBundledModel() {
  std::error_code error;
  const std::filesystem::path file = OwnFile(error);
  if (error) {
    return Status(StatusCode::kNotFound,
                  fmt::format("the bundled model cannot be looked for, as it is unknown where this "
                              "program is: {}",
                              error.message()));
  }
  // PREFIX/bin/fastvlm, PREFIX/lib/libfastvlm.so and PREFIX/lib/x86_64-linux-gnu/libfastvlm.so.
  const std::filesystem::path prefix = file.parent_path().parent_path();
  for (const std::filesystem::path& base : {prefix, prefix.parent_path()}) {
    const std::filesystem::path directory = base / kBundledModel;
    if (std::filesystem::exists(directory / "config.json", error)) return directory.string();
  }
  return Status(StatusCode::kNotFound,
                fmt::format("no bundled model in {}", (prefix / kBundledModel).string()));
}

}  // namespace fastvlm
