// The page: one call at a time, what is heard and said in it, and what goes wrong.

import { Conversation } from "./conversation.js";
import { Sound, loudness } from "./meter.js";
import { MicrophoneError, openMicrophone } from "./microphone.js";
import { Orb } from "./orb.js";
import { Call, CallError } from "./realtime.js";
import { ConversationView, Notices, StateView, announce } from "./view.js";

const AUDIBLE_DBFS = -50;
const METER_STEP_S = 0.01;

const byId = (id) => document.getElementById(id);
const orb = new Orb(byId("orb"));
const states = new StateView();
const notices = new Notices();
const log = new ConversationView();
const conversation = new Conversation();

/** What a call holds; null while there is none. */
let line = null;
/** The attempt to connect that is under way: how to abort it, and whether it will have succeeded. */
let attempt = null;

states.onShow = (state) => { orb.state = state; };

function setPhase(phase, text) {
  document.body.dataset.phase = phase;
  byId("connection-text").textContent = text;
  const live = phase === "live";
  const busy = phase === "connecting" || phase === "waiting";
  const focused = document.activeElement;
  byId("connect").hidden = live;
  byId("connect").querySelector("span").textContent = busy ? "Cancel" : "Connect";
  for (const id of ["mute", "hangup", "stop"]) byId(id).hidden = !live;
  document.querySelector(".level").hidden = !live;
  if (focused?.hidden) byId(live ? "mute" : "connect").focus();
  if (!live) states.show(phase);
}

/** Connect, with the microphone or to type only; waits for a server that is not ready. True once connected. */
function connect({ microphone }) {
  attempt?.controller.abort();
  const mine = { controller: new AbortController(), connected: null };
  attempt = mine;
  mine.connected = tryToConnect(microphone, mine);
  return mine.connected;
}

async function tryToConnect(microphone, mine) {
  notices.clear();
  setPhase("connecting", "Connecting…");
  const made = { call: null, sound: new Sound(), microphone: null, stops: [], timer: null, state: "idle", muted: false };
  const { signal } = mine.controller;
  try {
    if (microphone) made.microphone = await openMicrophone();
    // A prompt that was answered after Cancel must not start a call.
    if (signal.aborted) throw new CallError("cancelled", "");
    await callUntilReady(made, signal);
  } catch (error) {
    release(made);
    if (attempt === mine) {
      attempt = null;
      notices.clear();
      setPhase("offline", "Not connected");
      explain(error);
    }
    if (!(error instanceof CallError || error instanceof MicrophoneError)) throw error;
    return false;
  }
  attempt = null;
  begin(made);
  return true;
}

async function callUntilReady(made, signal) {
  const track = made.microphone?.getAudioTracks()[0] ?? made.sound.silence();
  for (;;) {
    const call = new Call();
    listen(made, call);
    try {
      await call.open(track, signal);
      made.call = call;
      notices.hide("wait");
      return;
    } catch (error) {
      if (error.retryAfterS === null || error.retryAfterS === undefined) throw error;
      await countDown(error, signal);
      setPhase("connecting", "Connecting…");
    }
  }
}

/** Show why the server takes no call now, and wait as long as it asked for. */
async function countDown(error, signal) {
  setPhase("waiting", "Waiting for the server");
  const busy = error.kind === "busy";
  const reason = error.message ? `${error.message.replace(/\.$/, "")}. ` : "";
  const text = (seconds) => `${reason}Trying again in ${seconds} s.`;
  const notice = notices.show("wait", {
    tone: "wait",
    title: busy ? "All lines are busy" : "The server is not ready yet",
    message: text(error.retryAfterS),
    closable: false,
  });
  for (let left = error.retryAfterS; left > 0; left--) {
    notice.update(text(left));
    await new Promise((done, fail) => {
      const timer = setTimeout(done, 1000);
      signal.addEventListener("abort", () => { clearTimeout(timer); fail(new CallError("cancelled", "")); }, { once: true });
    });
  }
  notice.update(`${reason}Trying again now.`);
}

function listen(made, call) {
  call.addEventListener("server", ({ detail }) => onServerEvent(made, detail));
  call.addEventListener("track", ({ detail }) => hear(made, detail));
  call.addEventListener("wobble", ({ detail }) => {
    if (line !== made) return;
    if (detail) {
      notices.show("wobble", { tone: "wait", title: "The connection is interrupted", message: "Trying to get it back…", closable: false });
    } else notices.hide("wobble");
  });
  call.addEventListener("lost", ({ detail }) => { if (line === made) end(detail); });
}

function begin(made) {
  line = made;
  log.divide();
  const began = performance.now();
  setPhase("live", "Connected 0:00");
  made.timer = setInterval(() => {
    const seconds = Math.floor((performance.now() - began) / 1000);
    byId("connection-text").textContent = `Connected ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }, 1000);
  states.show(made.state, { microphone: Boolean(made.microphone) });
  setMuted(false);
  announce(made.microphone ? "Connected. Speak." : "Connected. Type a message.");
  if (made.microphone) {
    made.sound.measure(made.microphone, (dbfs) => onMicrophoneLevel(made, dbfs)).then((stop) => made.stops.push(stop));
    made.microphone.getAudioTracks()[0].onended = () => {
      if (line === made) microphoneGone(made);
    };
  }
  allowSound(made);
}

/** Autoplay rules: sound may need a click of its own. */
async function allowSound(made) {
  const voice = byId("voice");
  const played = await voice.play().then(() => true, (error) => error.name !== "NotAllowedError");
  const resumed = await made.sound.resume();
  if (line !== made || (played && resumed)) return;
  notices.show("autoplay", {
    tone: "info",
    title: "The browser keeps this page silent",
    message: "It wants a click before a page may make a sound.",
    closable: false,
    actions: [["Turn sound on", () => { notices.hide("autoplay"); allowSound(made); }]],
  });
}

async function hear(made, stream) {
  // Chromium feeds a remote stream to Web Audio only while an element plays it.
  byId("voice").srcObject = stream;
  made.stops.push(await made.sound.measure(stream, (dbfs) => onAgentLevel(made, dbfs)));
}

function onAgentLevel(made, dbfs) {
  if (line !== made) return;
  const now = performance.now();
  if (dbfs > AUDIBLE_DBFS) {
    const entry = conversation.heard(now - METER_STEP_S * 1000, METER_STEP_S);
    if (entry && now - (made.drawnAt ?? 0) > 250) {
      made.drawnAt = now;
      draw([entry]);
    }
  }
  if (made.state === "speaking") orb.level = loudness(dbfs);
}

function onMicrophoneLevel(made, dbfs) {
  if (line !== made) return;
  const level = made.muted ? 0 : loudness(dbfs);
  if (made.state !== "speaking") orb.level = level;
  const now = performance.now();
  made.peak = Math.max(level, (made.peak ?? 0) * 0.96);
  if (now - (made.meterAt ?? 0) < 50) return;
  made.meterAt = now;
  const meter = byId("meter");
  meter.style.setProperty("--level", made.peak.toFixed(3));
  meter.setAttribute("aria-valuenow", Math.round(made.peak * 100));
}

function onServerEvent(made, event) {
  const now = performance.now();
  if (event.type === "goassist.state") {
    made.state = event.state;
    orb.level = 0;
    byId("stop").disabled = !["thinking", "speaking"].includes(event.state);
    if (event.state === "speaking") notices.hide("error");
    if (line === made) states.show(event.state, { microphone: Boolean(made.microphone) });
  } else if (event.type === "error") {
    const ours = event.error.type === "invalid_request_error";
    notices.show("error", {
      title: ours ? "The server did not accept that" : "Something failed at the server",
      message: event.error.message,
    });
  } else if (event.type === "goassist.degraded") {
    degraded(event);
  } else if (event.type === "conversation.item.input_audio_transcription.completed" && event.transcript.trim()) {
    announce(`You said: ${event.transcript}`);
  }
  draw(conversation.apply(event, now));
  if (event.type === "conversation.item.truncated" && event.text === undefined) {
    // The standard event says how long it was heard, not which words: ask for them.
    made.call?.send({ type: "conversation.item.retrieve", item_id: event.item_id });
  }
}

function degraded({ level, effect }) {
  if (String(level).toLowerCase() === "normal") notices.hide("degraded");
  else notices.show("degraded", { tone: "info", title: "The server is under load", message: effect ?? "Answers may be shorter." });
}

function draw(entries) {
  if (entries.length) log.draw(entries, conversation.entries);
}

function setMuted(muted) {
  const button = byId("mute");
  const silent = muted || !line?.microphone;
  if (line) {
    line.muted = silent;
    for (const track of line.microphone?.getAudioTracks() ?? []) track.enabled = !muted;
  }
  button.setAttribute("aria-pressed", String(silent));
  button.querySelector(".label").textContent = !line?.microphone ? "Use microphone" : muted ? "Unmute" : "Mute";
  button.querySelector("use").setAttribute("href", silent ? "#i-mic-off" : "#i-mic");
  document.body.toggleAttribute("data-muted", silent);
  if (silent) byId("meter").style.setProperty("--level", "0");
}

/** Turn the microphone on in a call that began without one. */
async function addMicrophone() {
  const made = line;
  try {
    const stream = await openMicrophone();
    if (line !== made) return stream.getTracks().forEach((track) => track.stop());
    made.microphone = stream;
    await made.call.replaceTrack(stream.getAudioTracks()[0]);
    made.stops.push(await made.sound.measure(stream, (dbfs) => onMicrophoneLevel(made, dbfs)));
    stream.getAudioTracks()[0].onended = () => { if (line === made) microphoneGone(made); };
    notices.hide("microphone");
    setMuted(false);
    states.show(made.state);
  } catch (error) {
    if (!(error instanceof MicrophoneError)) throw error;
    explain(error);
  }
}

/** The device was unplugged or its permission withdrawn in mid-call: go on by typing. */
async function microphoneGone(made) {
  made.microphone = null;
  setMuted(true);
  states.show(made.state, { microphone: false });
  notices.show("microphone", {
    title: "The microphone is gone",
    message: "It was unplugged, or its permission was withdrawn. You can go on by typing.",
    actions: [["Use microphone", addMicrophone]],
  });
  await made.call.replaceTrack(made.sound.silence());
}

function release(made) {
  made.call?.hangUp();
  clearInterval(made.timer);
  for (const stop of made.stops) stop();
  for (const track of made.microphone?.getTracks() ?? []) track.stop();
  made.sound.close();
  byId("voice").srcObject = null;
}

/** The call is over: hung up where there is no reason, lost where there is one. */
function end(lost = null) {
  const withMicrophone = Boolean(line.microphone);
  release(line);
  line = null;
  draw(conversation.close());
  orb.level = 0;
  notices.clear();
  setPhase("offline", lost ? "Connection lost" : "Not connected");
  if (lost) {
    document.body.dataset.phase = "lost";
    notices.show("call", {
      title: "The connection was lost",
      message: `${lost} What was said stays here; a new call starts afresh.`,
      actions: [["Reconnect", () => connect({ microphone: withMicrophone })]],
    });
  } else announce("The call has ended.");
}

/** Why there is no call, and what to do about it. */
function explain(error) {
  const again = ["Try again", () => connect({ microphone: true })];
  const type = ["Type instead", () => connect({ microphone: false }).then((ok) => ok && byId("message").focus())];
  if (error instanceof MicrophoneError) {
    const inCall = line ? [["Try again", addMicrophone]] : [again, type];
    notices.show("microphone", { title: error.title, message: error.message, actions: error.kind === "insecure" ? inCall.slice(1) : inCall });
  } else if (error instanceof CallError && error.kind !== "cancelled") {
    const titles = {
      unreachable: "The server does not answer",
      refused: "The server refused the call",
      "no-media": "No connection for sound",
    };
    const advice = error.kind === "unreachable" ? " Start it with “make demo” or “goassist up”, then try again." : "";
    notices.show("call", { title: titles[error.kind], message: error.message + advice, actions: [again] });
  }
}

function stopAnswer() {
  if (!line || byId("stop").disabled) return;
  line.call.send({ type: "response.cancel" });
  line.call.send({ type: "output_audio_buffer.clear" });
}

async function say(text) {
  const words = text.trim();
  if (!words) return;
  if (!line && !(await (attempt?.connected ?? connect({ microphone: false })))) {
    byId("message").value ||= words;
    return;
  }
  const id = `item_${crypto.getRandomValues(new Uint32Array(2)).join("")}`.slice(0, 32);
  draw([conversation.type(id, words, performance.now())]);
  line.call.send({
    type: "conversation.item.create",
    item: { id, type: "message", role: "user", content: [{ type: "input_text", text: words }] },
  });
  line.call.send({ type: "response.create" });
}

byId("connect").onclick = () => {
  if (attempt) attempt.controller.abort();
  else connect({ microphone: true });
};
byId("hangup").onclick = () => end();
byId("stop").onclick = stopAnswer;
byId("mute").onclick = () => {
  if (line.microphone) setMuted(!line.muted);
  else addMicrophone();
};
byId("composer").onsubmit = (event) => {
  event.preventDefault();
  const field = byId("message");
  const text = field.value;
  field.value = "";
  say(text);
};
for (const button of document.querySelectorAll(".suggestion")) button.onclick = () => say(button.textContent);

document.addEventListener("keydown", (event) => {
  if (!line || event.ctrlKey || event.metaKey) return;
  if (event.key === "Escape") stopAnswer();
  else if (event.altKey && event.code === "KeyM") {
    event.preventDefault();
    byId("mute").click();
  }
});
addEventListener("pagehide", () => line?.call.hangUp({ leaving: true }));
addEventListener("pageshow", ({ persisted }) => { if (persisted && line) end("The page was left."); });

setPhase("offline", "Not connected");
