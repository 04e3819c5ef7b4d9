// Pixels: from a video or a file to what is sent, shown small, and compared.
import {HEIGHT, WIDTH} from './change_gate.js';

// The longer side of what is sent. Files are sent as they are while they are below MAX_BYTES: the
// server's decoders and resize are exact, a browser's are not.
const MAX_SIDE = 2048;
const CAMERA_SIDE = 1280;
const MAX_BYTES = 8 << 20;
const AS_IT_IS = ['image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/bmp', 'image/heic', 'image/heif', 'image/avif',
                  'image/tiff', 'image/x-icon', 'image/vnd.microsoft.icon', 'image/x-portable-bitmap',
                  'image/x-portable-graymap', 'image/x-portable-pixmap', 'image/x-portable-anymap'];

function canvasOf(source, width, height, maxSide) {
  const scale = Math.min(1, maxSide / Math.max(width, height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.fillStyle = 'white';  // a JPEG has no transparency; without this it would turn black
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function toBlob(canvas) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => blob ? resolve(blob) : reject(new Error('The picture could not be encoded.')),
                  'image/jpeg', 0.92);
  });
}

export function fromVideo(video) {
  return toBlob(canvasOf(video, video.videoWidth, video.videoHeight, CAMERA_SIDE));
}

// A file as it will be sent. What the browser cannot show may still be something the server reads.
export async function fromFile(file) {
  if (AS_IT_IS.includes(file.type) && file.size <= MAX_BYTES) return file;
  const bitmap = await createImageBitmap(file);
  return toBlob(canvasOf(bitmap, bitmap.width, bitmap.height, MAX_SIDE));
}

export function toDataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

// A data URL small enough to be kept in the tab's storage; null if the browser cannot decode it.
export async function thumbnail(blob) {
  try {
    const bitmap = await createImageBitmap(blob);
    const canvas = canvasOf(bitmap, bitmap.width, bitmap.height, 112);
    bitmap.close();
    return canvas.toDataURL('image/jpeg', 0.8);
  } catch {
    return null;
  }
}

let grey = null;

// The frame of change_gate.js; a <video> or an <img>.
export function signature(source) {
  if (!grey) {
    const canvas = document.createElement('canvas');
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    grey = canvas.getContext('2d', {willReadFrequently: true});
    grey.imageSmoothingQuality = 'high';
  }
  grey.drawImage(source, 0, 0, WIDTH, HEIGHT);
  const {data} = grey.getImageData(0, 0, WIDTH, HEIGHT);
  const luma = new Uint8Array(WIDTH * HEIGHT);
  for (let i = 0; i < luma.length; ++i) {
    luma[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
  }
  return luma;
}
