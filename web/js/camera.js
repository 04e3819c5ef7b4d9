// The device's camera in a <video>.

// kind: 'insecure', 'denied', 'none', 'busy' or 'failed'.
export class CameraError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const KINDS = {
  NotAllowedError: 'denied', SecurityError: 'denied', NotFoundError: 'none',
  OverconstrainedError: 'none', NotReadableError: 'busy', AbortError: 'busy',
};

export class Camera extends EventTarget {
  #stream = null;
  #video;
  #facing = 'environment';
  #device = null;  // chosen by switching, where cameras have no direction
  cameras = [];

  constructor(video) {
    super();
    this.#video = video;
  }

  get on() {
    return this.#stream !== null;
  }

  async start() {
    if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
      throw new CameraError('insecure', 'This page is not served over https.');
    }
    const size = {width: {ideal: 1280}, height: {ideal: 960}};
    const which = this.#device ? {deviceId: {exact: this.#device}} : {facingMode: {ideal: this.#facing}};
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({audio: false, video: {...size, ...which}});
    } catch (error) {
      throw new CameraError(KINDS[error.name] ?? 'failed', error.message);
    }
    this.stop();
    this.#stream = stream;
    const [track] = stream.getVideoTracks();
    // Unplugged, taken away by another program, or the permission withdrawn.
    track.addEventListener('ended', () => {
      if (this.#stream !== stream) return;
      this.stop();
      this.dispatchEvent(new Event('lost'));
    });
    this.#video.srcObject = stream;
    const {facingMode} = track.getSettings();
    this.#video.classList.toggle('mirror', facingMode === 'user');
    await this.#video.play();
    const devices = await navigator.mediaDevices.enumerateDevices();
    this.cameras = devices.filter(({kind}) => kind === 'videoinput');
  }

  // The other direction on a phone, the next camera elsewhere.
  async next() {
    const settings = this.#stream?.getVideoTracks()[0]?.getSettings() ?? {};
    if (settings.facingMode) {
      this.#facing = settings.facingMode === 'user' ? 'environment' : 'user';
      this.#device = null;
      this.stop();  // phones open one camera at a time
    } else {
      const at = this.cameras.findIndex(({deviceId}) => deviceId === settings.deviceId);
      this.#device = this.cameras[(at + 1) % this.cameras.length]?.deviceId ?? null;
    }
    await this.start();
    const {deviceId} = this.#stream.getVideoTracks()[0].getSettings();
    if (settings.facingMode && deviceId && deviceId === settings.deviceId && this.cameras.length > 1) {
      // Two cameras that look the same way: take the other by its name.
      const at = this.cameras.findIndex((camera) => camera.deviceId === deviceId);
      this.#device = this.cameras[(at + 1) % this.cameras.length].deviceId;
      await this.start();
    }
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#video.srcObject = null;
  }
}
