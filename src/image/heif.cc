// HEIC and AVIF by libheif, when the build found it. Rotation, mirroring and cropping are part of
// decoding these formats: libheif applies them, and the EXIF copy of the orientation is ignored, as
// the format demands. ImageOptions::orient cannot switch them off: libheif can only leave out all
// of them, and without the cropping the codec's padding shows.
#include "image/decoder.h"

#ifdef FASTVLM_HAVE_HEIF

#include <libheif/heif.h>

#include <cstring>
#include <memory>

namespace fastvlm {
namespace {

template <typename T, void (*kFree)(T*)>
struct Deleter {
  void operator()(T* object) const { kFree(object); }
};
void ReleaseHandle(heif_image_handle* handle) { heif_image_handle_release(handle); }
void ReleaseImage(heif_image* image) { heif_image_release(image); }

using Context = std::unique_ptr<heif_context, Deleter<heif_context, heif_context_free>>;
using Handle = std::unique_ptr<heif_image_handle, Deleter<heif_image_handle, ReleaseHandle>>;
using HeifImage = std::unique_ptr<heif_image, Deleter<heif_image, ReleaseImage>>;
using Options = std::unique_ptr<heif_decoding_options,
                                Deleter<heif_decoding_options, heif_decoding_options_free>>;

Status HeifError(const ImageSource& source, const heif_error& error) {
  const bool unsupported =
      error.code == heif_error_Unsupported_feature || error.code == heif_error_Unsupported_filetype;
  return Error(unsupported ? StatusCode::kUnsupported : StatusCode::kDataError,
               "{}: {} HEIC/AVIF: {}", source.name,
               unsupported ? "unsupported" : "truncated or damaged",
               error.message == nullptr ? "no reason given" : error.message);
}

// libheif holds the planes of the codec, which may have 4 bytes a pixel, and its own RGB.
constexpr int64_t kLibheifPlaneBytes = 4;

Status CopyPixels(const ImageSource& source, const heif_image* from, int channels, Image* image) {
  int stride = 0;
  const uint8_t* plane = heif_image_get_plane_readonly(from, heif_channel_interleaved, &stride);
  const int width = heif_image_get_width(from, heif_channel_interleaved);
  const int height = heif_image_get_height(from, heif_channel_interleaved);
  FASTVLM_RETURN_IF_ERROR(AllocateImage(source, width, height, image, channels));
  if (plane == nullptr || stride < width * channels) {
    return Error(StatusCode::kDataError, "{}: damaged HEIC/AVIF: libheif gave no RGB pixels",
                 source.name);
  }
  const size_t row_bytes = static_cast<size_t>(width) * static_cast<size_t>(channels);
  for (int y = 0; y < height; ++y) {
    std::memcpy(&image->pixels[static_cast<size_t>(y) * row_bytes],
                plane + static_cast<size_t>(y) * static_cast<size_t>(stride), row_bytes);
  }
  return Status();
}

}  // namespace

bool HeifSupported() { return true; }

Result<DecodedImage> DecodeHeif(const ImageSource& source) {
  const Context context(heif_context_alloc());
  const Options options(heif_decoding_options_alloc());
  if (context == nullptr || options == nullptr) {
    return Error(StatusCode::kResourceExhausted, "{}: libheif could not start", source.name);
  }
  heif_error error = heif_context_read_from_memory_without_copy(context.get(), source.bytes.data(),
                                                                source.bytes.size(), nullptr);
  if (error.code != heif_error_Ok) return HeifError(source, error);

  heif_image_handle* raw_handle = nullptr;
  error = heif_context_get_primary_image_handle(context.get(), &raw_handle);
  const Handle handle(raw_handle);
  if (error.code != heif_error_Ok) return HeifError(source, error);
  const int64_t width = heif_image_handle_get_width(handle.get());
  const int64_t height = heif_image_handle_get_height(handle.get());
  FASTVLM_RETURN_IF_ERROR(CheckImageSize(source, width, height));
  const bool blend = source.options.background.has_value() &&
                     heif_image_handle_has_alpha_channel(handle.get()) != 0;
  const int channels = blend ? 4 : 3;
  FASTVLM_RETURN_IF_ERROR(CheckDecodeBytes(source, width, height,
                                           width * height * (2 * channels + kLibheifPlaneBytes)));

  options->convert_hdr_to_8bit = 1;
  heif_image* raw_image = nullptr;
  error = heif_decode_image(handle.get(), &raw_image, heif_colorspace_RGB,
                            blend ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB,
                            options.get());
  const HeifImage image(raw_image);
  if (error.code != heif_error_Ok) return HeifError(source, error);
  DecodedImage decoded;
  FASTVLM_RETURN_IF_ERROR(CopyPixels(source, image.get(), channels, &decoded.image));
  if (blend) RemoveAlpha(source, &decoded.image);
  return decoded;
}

}  // namespace fastvlm

#else

namespace fastvlm {

bool HeifSupported() { return false; }

Result<DecodedImage> DecodeHeif(const ImageSource& source) {
  return Error(StatusCode::kUnsupported,
               "{}: this build cannot read HEIC or AVIF because libheif was not installed when it "
               "was built. Convert the image to JPEG or PNG, or install libheif-dev and rebuild",
               source.name);
}

}  // namespace fastvlm

#endif  // FASTVLM_HAVE_HEIF
