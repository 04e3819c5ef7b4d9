# Writes a C++ file that holds the page's files as bytes, run by web/CMakeLists.txt:
#   cmake -DWEB=<dir> -DSAMPLE_DIR=<dir> "-DSAMPLES=<name> <name>" -DOUTPUT=<file.cc> -P embed_assets.cmake
# Every file below WEB of a known type is served by its path there, index.html as "/"; the samples as
# "/samples/<name>.png". A file of an unknown type is an error, so that none is forgotten.
set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_webmanifest "application/manifest+json")
set(type_svg "image/svg+xml")
set(type_png "image/png")

file(GLOB_RECURSE files RELATIVE ${WEB} ${WEB}/*)
list(FILTER files EXCLUDE REGEX "(^|/)CMakeLists\\.txt$")
set(paths)
foreach(file IN LISTS files)
  if(file STREQUAL "index.html")
    list(APPEND paths "/|${WEB}/${file}")
  else()
    list(APPEND paths "/${file}|${WEB}/${file}")
  endif()
endforeach()
separate_arguments(names UNIX_COMMAND "${SAMPLES}")
foreach(name IN LISTS names)
  list(APPEND paths "/samples/${name}.png|${SAMPLE_DIR}/${name}.png")
endforeach()

# 64 bytes in a line of hexadecimal escapes: adjacent string literals compile faster than numbers.
string(REPEAT "[0-9a-f]" 128 line)
set(data)
set(table)
set(index 0)
foreach(entry IN LISTS paths)
  string(REPLACE "|" ";" entry "${entry}")
  list(GET entry 0 path)
  list(GET entry 1 file)
  string(REGEX REPLACE ".*\\." "" extension "${file}")
  if(NOT DEFINED type_${extension})
    message(FATAL_ERROR "${file}: a type that is not in cmake/embed_assets.cmake; add it there")
  endif()
  file(SHA256 ${file} hash)
  string(SUBSTRING ${hash} 0 16 hash)
  file(SIZE ${file} size)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" bytes "${bytes}")
  string(REGEX REPLACE "([^\n]+)" "    \"\\1\"" bytes "${bytes}")
  string(APPEND data "// ${path}\nconstexpr char kData${index}[] =\n${bytes};\n")
  string(APPEND table "    {\"${path}\", \"${type_${extension}}\", \"\\\"${hash}\\\"\", {kData${index}, ${size}}},\n")
  math(EXPR index "${index} + 1")
endforeach()

file(WRITE ${OUTPUT}.tmp "// Made by cmake/embed_assets.cmake from web/.
#include \"server/web_assets.h\"

namespace fastvlm {
namespace {

${data}
constexpr WebAsset kAssets[] = {
${table}};

}  // namespace

std::span<const WebAsset> WebAssets() { return kAssets; }

}  // namespace fastvlm
")
file(RENAME ${OUTPUT}.tmp ${OUTPUT})
