// Levels of the two sounds of a call, measured on the audio thread.

export const SILENCE_DBFS = -90;

/** A level in dB of full scale as 0 (-60 dBFS and below) to 1 (-10 dBFS and above), for drawing. */
export function loudness(dbfs) {
  return Math.min(1, Math.max(0, (dbfs + 60) / 50));
}

/** One AudioContext with a meter for each stream given to it. */
export class Sound {
  #loaded = null;
  #silence = null;

  constructor() {
    this.context = new AudioContext({ latencyHint: "interactive" });
  }

  /** Call onLevel(dbfs) for every 10 ms of `stream`; returns a function that stops it. */
  async measure(stream, onLevel) {
    // Over plain http from another machine there are no worklets, and so no levels; the call works without them.
    if (!this.context.audioWorklet || !(await this.#load())) return () => {};
    const source = this.context.createMediaStreamSource(stream);
    const meter = new AudioWorkletNode(this.context, "meter", { numberOfOutputs: 0 });
    meter.port.onmessage = ({ data }) => onLevel(data > 0 ? Math.max(SILENCE_DBFS, 20 * Math.log10(data)) : SILENCE_DBFS);
    source.connect(meter);
    return () => {
      meter.port.onmessage = null;
      source.disconnect();
    };
  }

  /** False where the context was closed meanwhile. */
  async #load() {
    this.#loaded ??= this.context.audioWorklet.addModule("meter-worklet.js");
    try {
      await this.#loaded;
    } catch (error) {
      if (this.context.state !== "closed") throw error;
    }
    return this.context.state !== "closed";
  }

  /** A track of digital silence, which keeps a call without a microphone alive. */
  silence() {
    this.#silence ??= this.context.createMediaStreamDestination();
    return this.#silence.stream.getAudioTracks()[0];
  }

  /** True where the browser lets this page make sound; a click may be needed first. */
  async resume() {
    // resume() stays pending, rather than failing, until the person has clicked.
    await Promise.race([this.context.resume(), new Promise((done) => setTimeout(done, 300))]);
    return this.context.state === "running";
  }

  close() {
    return this.context.close();
  }
}
