// What one call holds open: the connection, the microphone or silence in its place, and the meters on both sounds.

import { Sound } from "./meter.js";
import { openMicrophone } from "./microphone.js";
import { Call, CallError } from "./realtime.js";

/**
 * `told` hears of everything, each function with its one value:
 *   server(event), microphoneLevel(dbfs), agentLevel(dbfs), wobble(interrupted), lost({ reason, announced }),
 *   microphoneGone() in mid-call; one that is gone before it leaves hasMicrophone false once open() is done,
 *   wait(error): a promise that is done when a server that takes no call now is to be asked again.
 */
export class Line {
  state = "idle";
  muted = false;
  #answering = false;
  #told;
  #call = null;
  #microphone = null;
  #adding = null;
  #opened = false;
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
    for (;;) {
      // One that was unplugged while the server was waited for is replaced by what there is now.
      if (microphone && !this.#microphone) this.#take(await unlessAborted(openMicrophone(), signal));
      this.#call = new Call();
      this.#listen(this.#call);
      try {
        await this.#call.open(this.#track(), signal);
        break;
      } catch (error) {
        if (!error.retryAfterS) throw error;
        await this.#told.wait(error);
      }
    }
    this.#opened = true;
    await this.#sendMicrophone();
  }

  send(event) {
    if (event.type === "response.create") this.#answering = true;
    this.#call.send(event);
  }

  /** Silence the agent, if it answers or speaks: the server begins no other response while it makes one. */
  interrupt() {
    if (this.#answering) this.send({ type: "response.cancel" });
    // What is complete may still sound, or be about to.
    if (this.#answering || ["thinking", "speaking"].includes(this.state)) this.send({ type: "output_audio_buffer.clear" });
  }

  /** Use the microphone in a call that has none; once, however often it is asked for. Throws MicrophoneError. */
  addMicrophone() {
    this.#adding ??= this.#addMicrophone().finally(() => { this.#adding = null; });
    return this.#adding;
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
    pass("server", (event) => {
      if (event.type === "response.created") this.#answering = true;
      else if (event.type === "response.done") this.#answering = false;
      this.#told.server(event);
    });
    pass("wobble", this.#told.wobble);
    pass("lost", this.#told.lost);
    pass("track", (stream) => {
      // Chromium feeds a remote stream to Web Audio only while an element plays it.
      this.#voice.srcObject = stream;
      this.#measure(stream, this.#told.agentLevel);
    });
  }

  async #addMicrophone() {
    const stream = await openMicrophone();
    if (this.#closed) {
      stop(stream);
      return;
    }
    this.#take(stream);
    await this.#sendMicrophone();
  }

  /** Have a microphone, whose end by the device or by the permission is noticed from now on. */
  #take(stream) {
    if (this.#microphone) stop(this.#microphone);
    this.#microphone = stream;
    const [track] = stream.getAudioTracks();
    track.onended = () => this.#lose(stream);
    if (track.readyState === "ended") this.#lose(stream);
  }

  async #lose(stream) {
    if (this.#closed || this.#microphone !== stream) return;
    this.#microphone = null;
    if (!this.#opened) return;
    await this.#sendMicrophone();
    this.#told.microphoneGone();
  }

  /** What is to be sent: the microphone, or silence in its place. */
  #track() {
    return this.#microphone?.getAudioTracks()[0] ?? this.#sound.silence();
  }

  async #sendMicrophone() {
    const stream = this.#microphone;
    await this.#call.replaceTrack(this.#track());
    if (!stream) return;
    await this.#measure(stream, (dbfs) => { if (this.#microphone === stream) this.#told.microphoneLevel(dbfs); });
  }

  async #measure(stream, tell) {
    const end = await this.#sound.measure(stream, tell);
    if (this.#closed) end();
    else this.#stops.push(end);
  }
}

/** The stream. Throws CallError as soon as `signal` aborts; a stream that is granted after that is stopped. */
function unlessAborted(opening, signal) {
  return new Promise((done, fail) => {
    signal.addEventListener("abort", () => fail(new CallError("cancelled", "")), { once: true });
    opening.then((stream) => (signal.aborted ? stop(stream) : done(stream)), fail);
  });
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
