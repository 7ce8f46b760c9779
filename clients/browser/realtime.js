// One call: WebRTC media, the events of the OpenAI Realtime API on the data channel, and its end.

const CALLS = "v1/realtime/calls";
const CONNECT_TIMEOUT_MS = 15_000;
const GATHER_TIMEOUT_MS = 2_000;
const DISCONNECTED_TIMEOUT_MS = 4_000;

/** Why there is no call. kind: unreachable, not-ready, busy, refused, no-media, cancelled. */
export class CallError extends Error {
  constructor(kind, message, retryAfterS = null) {
    super(message);
    this.kind = kind;
    this.retryAfterS = retryAfterS;
  }
}

/**
 * Events: "server" (detail: the parsed server event), "track" (detail: the agent's MediaStream),
 * "wobble" (detail: true while the network is interrupted), "lost" (detail: the reason).
 */
export class Call extends EventTarget {
  #peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  #channel = this.#peer.createDataChannel("oai-events");
  #sender = null;
  #location = null;
  #ended = false;
  #disconnected = null;

  /** Send `track`, connect, and return once events flow. Throws CallError; `signal` aborts. */
  async open(track, signal) {
    try {
      await this.#open(track, signal);
    } catch (error) {
      this.hangUp();
      throw signal.aborted ? new CallError("cancelled", "The call was cancelled.") : error;
    }
  }

  async #open(track, signal) {
    this.#peer.ontrack = ({ streams, track: agent }) =>
      this.#tell("track", streams[0] ?? new MediaStream([agent]));
    this.#peer.onconnectionstatechange = () => this.#connectionChanged();
    this.#channel.onmessage = ({ data }) => this.#tell("server", JSON.parse(data));
    this.#channel.onclose = () => this.#lose("The server ended the call.");
    this.#sender = this.#peer.addTransceiver(track, { direction: "sendrecv", streams: [new MediaStream([track])] }).sender;

    await this.#peer.setLocalDescription(await this.#peer.createOffer());
    await this.#gathered();
    const answer = await this.#exchange(this.#peer.localDescription.sdp, signal);
    await this.#peer.setRemoteDescription({ type: "answer", sdp: answer });
    await this.#opened(signal);
  }

  /** Use another microphone, or silence, from now on. */
  replaceTrack(track) {
    return this.#sender.replaceTrack(track);
  }

  send(event) {
    if (this.#channel.readyState === "open") this.#channel.send(JSON.stringify(event));
  }

  /** Hang up; harmless when repeated. `leaving` is for a page that is being closed. */
  hangUp({ leaving = false } = {}) {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#disconnected);
    if (this.#location) {
      const address = `${this.#location}/hangup`;
      if (leaving) navigator.sendBeacon(address);
      // A server that is gone needs no goodbye.
      else fetch(address, { method: "POST", keepalive: true }).catch(() => {});
    }
    this.#peer.close();
  }

  async #exchange(sdp, signal) {
    let response;
    try {
      response = await fetch(CALLS, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: sdp, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new CallError("unreachable", "Nothing answers at this address. Is the server running?");
    }
    const text = await response.text();
    if (response.status === 201) {
      this.#location = response.headers.get("Location");
      return text;
    }
    const { code, message } = errorOf(text);
    if (response.status === 503) {
      const retryAfterS = Math.min(60, Math.max(1, Number(response.headers.get("Retry-After")) || 5));
      throw new CallError(code === "capacity_reached" ? "busy" : "not-ready", message, retryAfterS);
    }
    throw new CallError("refused", message || `The server answered ${response.status} ${response.statusText}.`);
  }

  #gathered() {
    return new Promise((done) => {
      const check = () => this.#peer.iceGatheringState === "complete" && done();
      this.#peer.onicegatheringstatechange = check;
      // Candidates that come later than this are not worth waiting for.
      setTimeout(done, GATHER_TIMEOUT_MS);
      check();
    });
  }

  #opened(signal) {
    return new Promise((done, fail) => {
      const give = () => fail(new CallError(
        "no-media",
        "The server answered, but no sound can reach it. A firewall between here and there may be blocking UDP.",
      ));
      const timer = setTimeout(give, CONNECT_TIMEOUT_MS);
      const settled = (settle) => () => { clearTimeout(timer); settle(); };
      this.addEventListener("lost", settled(give), { once: true });
      signal.addEventListener("abort", settled(fail), { once: true });
      if (this.#channel.readyState === "open") settled(done)();
      else this.#channel.onopen = settled(done);
    });
  }

  #connectionChanged() {
    const state = this.#peer.connectionState;
    clearTimeout(this.#disconnected);
    if (state === "disconnected") {
      this.#tell("wobble", true);
      this.#disconnected = setTimeout(() => this.#lose("The server does not answer any more."), DISCONNECTED_TIMEOUT_MS);
    } else if (state === "connected") {
      this.#tell("wobble", false);
    } else if (state === "failed") {
      this.#lose("The server cannot be reached any more.");
    }
  }

  #lose(reason) {
    if (this.#ended) return;
    this.hangUp();
    this.#tell("lost", reason);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function errorOf(text) {
  try {
    const { error } = JSON.parse(text);
    const message = error?.message ?? "";
    return { code: error?.code, message: message.charAt(0).toUpperCase() + message.slice(1) };
  } catch {
    return { code: null, message: "" };
  }
}
