// Runs on the audio thread: the root mean square of every 10 ms of its input, posted as it is measured.

class Meter extends AudioWorkletProcessor {
  constructor() {
    super();
    this.window = Math.round(sampleRate / 100);
    this.sum = 0;
    this.count = 0;
  }

  process([input]) {
    const channel = input[0];
    // No channel: nothing is connected or the source has ended, which is silence.
    const length = channel ? channel.length : 128;
    for (let i = 0; i < length; i++) {
      const sample = channel ? channel[i] : 0;
      this.sum += sample * sample;
      if (++this.count === this.window) {
        this.port.postMessage(Math.sqrt(this.sum / this.window));
        this.sum = 0;
        this.count = 0;
      }
    }
    return true;
  }
}

registerProcessor("meter", Meter);
