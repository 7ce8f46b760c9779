// What one call holds open: the connection, the microphone or silence in its place, and the meters on both sounds.

import { Sound } from "./meter.js";
import { openMicrophone } from "./microphone.js";
import { Call, CallError } from "./realtime.js";

/**
 * `told` hears of everything, each function with its one value:
 *   server(event), microphoneLevel(dbfs), agentLevel(dbfs), wobble(interrupted), lost(reason), microphoneGone(),
 *   wait(error): a promise that is done when a server that takes no call now is to be asked again.
 */
export class Line {
  state = "idle";
  muted = false;
  #told;
  #call = null;
  #microphone = null;
  #sound = new Sound();
  #stops = [];
  #voice;
  #closed = false;

  /** `voice` is the audio element that plays the agent. */
  constructor(voice, told) {
    this.#voice = voice;
    this.#told = told;
  }

  get hasMicrophone() {
    return this.#microphone !== null;
  }

  /** Call the server, until it is ready. Throws MicrophoneError and CallError; `signal` aborts. */
  async open({ microphone, signal }) {
    if (microphone) this.#microphone = await openMicrophone();
    // A prompt that was answered after Cancel must not start a call.
    if (signal.aborted) throw new CallError("cancelled", "");
    const track = this.#microphone?.getAudioTracks()[0] ?? this.#sound.silence();
    for (;;) {
      this.#call = new Call();
      this.#listen(this.#call);
      try {
        await this.#call.open(track, signal);
        break;
      } catch (error) {
        if (!error.retryAfterS) throw error;
        await this.#told.wait(error);
      }
    }
    if (this.#microphone) await this.#attend(this.#microphone);
  }

  send(event) {
    this.#call.send(event);
  }

  /** Use the microphone in a call that began without one, or that lost it. Throws MicrophoneError. */
  async addMicrophone() {
    const stream = await openMicrophone();
    if (this.#closed) {
      stop(stream);
      return;
    }
    this.#microphone = stream;
    await this.#call.replaceTrack(stream.getAudioTracks()[0]);
    await this.#attend(stream);
  }

  mute(muted) {
    this.muted = muted;
    for (const track of this.#microphone?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** Autoplay rules: true where the agent can be heard; otherwise a click is needed first. */
  async allowSound() {
    const played = await this.#voice.play().then(() => true, (error) => error.name !== "NotAllowedError");
    return (await this.#sound.resume()) && played;
  }

  /** Hang up and let go of everything; harmless when repeated. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#call?.hangUp();
    for (const each of this.#stops) each();
    if (this.#microphone) stop(this.#microphone);
    this.#sound.close();
    this.#voice.srcObject = null;
  }

  #listen(call) {
    const pass = (type, tell) => call.addEventListener(type, ({ detail }) => { if (!this.#closed) tell(detail); });
    pass("server", this.#told.server);
    pass("wobble", this.#told.wobble);
    pass("lost", this.#told.lost);
    pass("track", (stream) => {
      // Chromium feeds a remote stream to Web Audio only while an element plays it.
      this.#voice.srcObject = stream;
      this.#measure(stream, this.#told.agentLevel);
    });
  }

  async #attend(stream) {
    stream.getAudioTracks()[0].onended = async () => {
      if (this.#closed || this.#microphone !== stream) return;
      this.#microphone = null;
      await this.#call.replaceTrack(this.#sound.silence());
      this.#told.microphoneGone();
    };
    await this.#measure(stream, this.#told.microphoneLevel);
  }

  async #measure(stream, tell) {
    const end = await this.#sound.measure(stream, tell);
    if (this.#closed) end();
    else this.#stops.push(end);
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
