# What the library is linked with. The targets are global, so that a project that takes this one in by
# add_subdirectory can link fastvlm::fastvlm from any of its folders. cmake/install.cmake repeats the
# list for projects that link the installed static library.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(GIF REQUIRED)
find_package(TIFF REQUIRED)
pkg_check_modules(FASTVLM_WEBP REQUIRED IMPORTED_TARGET GLOBAL libwebp libwebpdemux)
pkg_check_modules(FASTVLM_UTF8PROC REQUIRED IMPORTED_TARGET GLOBAL libutf8proc)
pkg_check_modules(FASTVLM_HEIF QUIET IMPORTED_TARGET GLOBAL libheif)
unset(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)

set(FASTVLM_LIBRARIES Threads::Threads fmt::fmt JPEG::JPEG PNG::PNG GIF::GIF TIFF::TIFF
  PkgConfig::FASTVLM_WEBP PkgConfig::FASTVLM_UTF8PROC)
if(FASTVLM_HEIF_FOUND)
  list(APPEND FASTVLM_LIBRARIES PkgConfig::FASTVLM_HEIF)
else()
  message(STATUS "libheif not found: HEIC and AVIF images will be refused")
endif()
