// One call: WebRTC media, the events of the OpenAI Realtime API on the data channel, and its end.

const CALLS = "v1/realtime/calls";
const ICE_SERVERS = "v1/realtime/ice_servers";
const KEY = "goassist.key";
const CONNECT_TIMEOUT_MS = 15_000;
const GATHER_TIMEOUT_MS = 2_000;
const DISCONNECTED_TIMEOUT_MS = 4_000;
// What a header's value may have: RFC 9110, section 5.5.
const SENDABLE = /^[\x20-\x7e\x80-\xff]*$/;
// Codes of the `error` event with which the server announces the end of the call.
const ENDINGS = new Set(["session_idle_timeout", "server_shutdown"]);

/** Why there is no call. kind: unreachable, not-ready, busy, key, refused, no-media, cancelled. */
export class CallError extends Error {
  constructor(kind, message, retryAfterS = null) {
    super(message);
    this.kind = kind;
    this.retryAfterS = retryAfterS;
  }
}

/** Keep the key of a server that asks for one, as long as this tab is open. Throws CallError for one that no request can carry. */
export function useKey(key) {
  if (!SENDABLE.test(key)) {
    throw new CallError("key", "The key has a character that an HTTP header cannot carry: copy it again");
  }
  sessionStorage.setItem(KEY, key);
}

function headers(more = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}`, ...more } : more;
}

/**
 * Events: "server" (detail: the parsed server event), "track" (detail: the agent's MediaStream),
 * "wobble" (detail: true while the network is interrupted), "lost" (detail: { reason, announced }, announced where the
 * server said by itself that it ends the call, and why).
 */
export class Call extends EventTarget {
  #peer = null;
  #channel = null;
  #sender = null;
  #location = null;
  #ended = false;
  #disconnected = null;
  #announced = null;

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
    const { ice_servers: iceServers } = JSON.parse(await ask(ICE_SERVERS, { signal }));
    signal.throwIfAborted();
    this.#peer = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.#channel = this.#peer.createDataChannel("oai-events");
    this.#peer.ontrack = ({ streams, track: agent }) =>
      this.#tell("track", streams[0] ?? new MediaStream([agent]));
    this.#peer.onconnectionstatechange = () => this.#connectionChanged();
    this.#channel.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.#channel.onclose = () => this.#lose("The server ended the call.");
    this.#sender = this.#peer.addTransceiver(track, { direction: "sendrecv", streams: [new MediaStream([track])] }).sender;

    await this.#peer.setLocalDescription(await this.#peer.createOffer());
    await this.#gathered();
    const { sdp } = this.#peer.localDescription;
    const answer = await ask(CALLS, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: sdp, signal }, (response) => {
      this.#location = response.headers.get("Location");
    });
    await this.#peer.setRemoteDescription({ type: "answer", sdp: answer });
    signal.throwIfAborted();
    await this.#opened(signal);
  }

  /** Use another microphone, or silence, from now on. */
  replaceTrack(track) {
    return this.#sender.replaceTrack(track);
  }

  send(event) {
    if (this.#channel.readyState === "open") this.#channel.send(JSON.stringify(event));
  }

  /** Hang up; harmless when repeated. The request outlives a page that is being closed. */
  hangUp() {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#disconnected);
    if (this.#location) {
      // A server that is gone needs no goodbye.
      fetch(`${this.#location}/hangup`, { method: "POST", headers: headers(), keepalive: true }).catch(() => {});
    }
    this.#peer?.close();
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

  #receive(event) {
    if (event.type === "error" && ENDINGS.has(event.error.code)) this.#announced = event.error.message;
    this.#tell("server", event);
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
    this.#tell("lost", { reason: this.#announced ?? reason, announced: this.#announced !== null });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** The text of the server's answer. Throws CallError for a refusal. `onAnswer` sees the response that is none. */
async function ask(address, request, onAnswer = () => {}) {
  let response, text;
  try {
    response = await fetch(address, { ...request, headers: headers(request.headers) });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError("unreachable", "Nothing answers at this address. Is the server running?");
  }
  if (response.ok) {
    onAnswer(response);
    return text;
  }
  const { code, message } = errorOf(text);
  if (response.status === 503) {
    const retryAfterS = Math.min(60, Math.max(1, Number(response.headers.get("Retry-After")) || 5));
    throw new CallError(code === "capacity_reached" ? "busy" : "not-ready", message, retryAfterS);
  }
  throw new CallError(response.status === 401 ? "key" : "refused", message || `The server answered ${response.status}.`);
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
