// WebP by libwebp: lossy and lossless, of an animation the first frame on transparent black.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>
#include <span>

#include "image/decoder.h"
#include "image/orientation.h"

namespace fastvlm {
namespace {

struct DemuxerDeleter {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};
using Demuxer = std::unique_ptr<WebPDemuxer, DemuxerDeleter>;

// The first chunk of this kind, empty if there is none. It is a view of the file.
std::span<const uint8_t> ChunkOf(const WebPDemuxer* demuxer, const char* kind) {
  WebPChunkIterator chunk = {};
  std::span<const uint8_t> bytes;
  if (WebPDemuxGetChunk(demuxer, kind, 1, &chunk) != 0) {
    bytes = {chunk.chunk.bytes, chunk.chunk.size};
  }
  WebPDemuxReleaseChunkIterator(&chunk);
  return bytes;
}

int WebpOrientation(const WebPDemuxer* demuxer) {
  const std::span<const uint8_t> xmp = ChunkOf(demuxer, "XMP ");
  return ReadOrientation({.exif = ChunkOf(demuxer, "EXIF"),
                          .xmp = {reinterpret_cast<const char*>(xmp.data()), xmp.size()}});
}

// libwebp holds the picture once more while it decodes a lossless one, with 4 bytes a pixel.
constexpr int64_t kLibwebpBytes = 4;

// image has `channels` channels, 3 or 4.
Status DecodeFrame(const ImageSource& source, const WebPIterator& frame, size_t channels,
                   Image* image) {
  int width = 0;
  int height = 0;
  const bool known = WebPGetInfo(frame.fragment.bytes, frame.fragment.size, &width, &height) != 0;
  if (!known || width != frame.width || height != frame.height || frame.x_offset < 0 ||
      frame.y_offset < 0 || width > image->width - frame.x_offset ||
      height > image->height - frame.y_offset) {
    return Error(StatusCode::kDataError,
                 "{}: damaged WebP: a {} x {} frame at ({}, {}) does not fit a {} x {} picture",
                 source.name, width, height, frame.x_offset, frame.y_offset, image->width,
                 image->height);
  }
  const size_t row_bytes = static_cast<size_t>(image->width) * channels;
  const size_t first = static_cast<size_t>(frame.y_offset) * row_bytes +
                       static_cast<size_t>(frame.x_offset) * channels;
  const auto decode = channels == 4 ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (decode(frame.fragment.bytes, frame.fragment.size, image->pixels.data() + first,
             image->pixels.size() - first, static_cast<int>(row_bytes)) == nullptr) {
    return Error(StatusCode::kDataError, "{}: damaged WebP: libwebp cannot decode the picture",
                 source.name);
  }
  return Status();
}

}  // namespace

Result<DecodedImage> DecodeWebp(const ImageSource& source) {
  const WebPData data = {source.bytes.data(), source.bytes.size()};
  WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
  const Demuxer demuxer(WebPDemuxPartial(&data, &state));
  if (demuxer == nullptr || state != WEBP_DEMUX_DONE) {
    const bool truncated = state == WEBP_DEMUX_PARSING_HEADER || state == WEBP_DEMUX_PARSED_HEADER;
    return Error(StatusCode::kDataError, "{}: {}", source.name,
                 truncated ? "truncated WebP: the file is shorter than its header says"
                           : "damaged WebP: its chunks cannot be parsed");
  }
  DecodedImage decoded;
  const int64_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
  const int64_t height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  const bool blend = source.options.background.has_value() &&
                     (WebPDemuxGetI(demuxer.get(), WEBP_FF_FORMAT_FLAGS) & ALPHA_FLAG) != 0;
  const int channels = blend ? 4 : 3;
  FASTVLM_RETURN_IF_ERROR(AllocateImage(source, width, height, &decoded.image, channels,
                                        width * height * kLibwebpBytes));
  decoded.orientation = WebpOrientation(demuxer.get());
  WebPIterator frame = {};
  Status status;
  if (WebPDemuxGetFrame(demuxer.get(), 1, &frame) == 0) {
    status = Error(StatusCode::kDataError, "{}: damaged WebP: it has no frame", source.name);
  } else {
    status = DecodeFrame(source, frame, static_cast<size_t>(channels), &decoded.image);
  }
  WebPDemuxReleaseIterator(&frame);
  FASTVLM_RETURN_IF_ERROR(status);
  if (blend) RemoveAlpha(source, &decoded.image);
  return decoded;
}

}  // namespace fastvlm
