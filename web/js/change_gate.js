// Decides when a live picture has changed enough to be asked about again.
//
// A frame is a small grey picture (Uint8 luma, WIDTH x HEIGHT). Two frames are compared cell by cell
// after their mean difference is taken away, so that a camera that adapts its exposure, or noise, is
// no change, and a thing that moves in a corner is.
export const WIDTH = 32;
export const HEIGHT = 24;
const CELL = 20;           // grey levels by which a cell must differ to count
const BRIGHTNESS = 60;     // grey levels of the mean: the light was switched
const SETTLED = 0.5;       // of the threshold, between two looks: nothing moves any more
const LONGEST_WAIT_MS = 1500;  // for a scene that never settles

// The share of cells that differ, 0..1.
export function difference(a, b) {
  let mean = 0;
  for (let i = 0; i < a.length; ++i) mean += b[i] - a[i];
  mean /= a.length;
  if (Math.abs(mean) > BRIGHTNESS) return 1;
  let changed = 0;
  for (let i = 0; i < a.length; ++i) {
    if (Math.abs(b[i] - a[i] - mean) > CELL) ++changed;
  }
  return changed / a.length;
}

export class ChangeGate {
  threshold = 0.06;
  #asked = null;   // the frame last asked about
  #last = null;    // the frame of the last look
  #since = null;   // when the scene began to differ from the one asked about

  // The next look passes, whatever it shows: another question, another source.
  reset() {
    this.#asked = null;
    this.#since = null;
  }

  // Whether this frame should be asked about; now in milliseconds. A moving scene is waited for
  // until it settles, because a blurred picture is not worth an answer.
  look(frame, now) {
    const last = this.#last;
    this.#last = frame;
    if (!this.#asked) return true;
    if (difference(this.#asked, frame) < this.threshold) {
      this.#since = null;
      return false;
    }
    this.#since ??= now;
    const settled = last && difference(last, frame) < this.threshold * SETTLED;
    return settled || now - this.#since >= LONGEST_WAIT_MS;
  }

  // This frame is being asked about.
  pass(frame) {
    this.#asked = frame;
    this.#since = null;
  }
}
