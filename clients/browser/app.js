// The page: one call at a time, what is heard and said in it, and what goes wrong.

import { Conversation } from "./conversation.js";
import { countDown, explain } from "./explain.js";
import { Line } from "./line.js";
import { loudness } from "./meter.js";
import { Orb } from "./orb.js";
import { ConversationView, MeterView, Notices, StateView, announce } from "./view.js";

const AUDIBLE_DBFS = -50;
const METER_STEP_MS = 10;
const REDRAW_MS = 250;

const byId = (id) => document.getElementById(id);
const orb = new Orb(byId("orb"));
const states = new StateView((state) => { orb.state = state; });
const meter = new MeterView(byId("meter"));
const notices = new Notices();
const log = new ConversationView();
const conversation = new Conversation();

/** The call that is open, null while there is none; and its clock. */
let line = null;
let clock = null;
/** The attempt to connect that is under way: how to abort it, and whether it will have succeeded. */
let attempt = null;

function setPhase(phase, text) {
  document.body.dataset.phase = phase;
  byId("connection-text").textContent = text;
  const live = phase === "live";
  const busy = phase === "connecting" || phase === "waiting";
  const focused = document.activeElement;
  byId("connect").hidden = live;
  byId("connect").querySelector("span").textContent = busy ? "Cancel" : "Connect";
  for (const id of ["mute", "level", "hangup", "stop"]) byId(id).hidden = !live;
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
  const { signal } = mine.controller;
  const made = new Line(byId("voice"), {
    server: (event) => onServerEvent(made, event),
    agentLevel: (dbfs) => onAgentLevel(made, dbfs),
    microphoneLevel: (dbfs) => onMicrophoneLevel(made, dbfs),
    wobble: onWobble,
    lost: (why) => { if (line === made) end(why); },
    microphoneGone: () => { if (line === made) onMicrophoneGone(); },
    wait: async (error) => {
      setPhase("waiting", "Waiting for the server");
      await countDown(error, notices, signal);
      setPhase("connecting", "Connecting…");
    },
  });
  try {
    await made.open({ microphone, signal });
  } catch (error) {
    made.close();
    if (attempt === mine) {
      attempt = null;
      notices.clear();
      setPhase("offline", "Not connected");
      tellWhy(error);
    }
    return false;
  }
  attempt = null;
  begin(made);
  if (microphone && !made.hasMicrophone) onMicrophoneGone();
  return true;
}

function begin(made) {
  line = made;
  log.divide();
  notices.hide("wait");
  setPhase("live", "Connected 0:00");
  const began = performance.now();
  clock = setInterval(() => {
    const seconds = Math.floor((performance.now() - began) / 1000);
    byId("connection-text").textContent = `Connected ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }, 1000);
  states.show(made.state, made.hasMicrophone);
  setMuted(false);
  announce(made.hasMicrophone ? "Connected. Speak." : "Connected. Type a message.");
  allowSound(made);
}

/** The call is over: hung up where there is no reason, lost where there is one. */
function end(lost = null) {
  const microphone = line.hasMicrophone;
  line.close();
  line = null;
  clearInterval(clock);
  draw(conversation.close());
  orb.level = 0;
  notices.clear();
  if (!lost) {
    setPhase("offline", "Not connected");
    announce("The call has ended.");
    return;
  }
  setPhase("lost", lost.announced ? "Call ended" : "Connection lost");
  notices.show("call", {
    title: lost.announced ? "The server ended the call" : "The connection was lost",
    message: `${lost.reason} What was said stays here; a new call starts afresh.`,
    actions: [["Reconnect", () => connect({ microphone })]],
  });
}

async function allowSound(made) {
  if ((await made.allowSound()) || line !== made) return;
  notices.show("autoplay", {
    tone: "info",
    title: "The browser blocks sound",
    message: "Browsers block a page’s sound until you click in it.",
    closable: false,
    actions: [["Turn sound on", () => { notices.hide("autoplay"); allowSound(made); }]],
  });
}

function onServerEvent(made, event) {
  if (event.type === "goassist.state") {
    made.state = event.state;
    orb.level = 0;
    byId("stop").disabled = !["thinking", "speaking"].includes(event.state);
    if (event.state === "speaking") notices.hide("error");
    if (line === made) states.show(event.state, made.hasMicrophone);
  } else if (event.type === "error" || event.type === "conversation.item.input_audio_transcription.failed") {
    onError(event.error);
  } else if (event.type === "response.done" && event.response.status === "failed") {
    onError({ message: "The answer failed.", ...event.response.status_details?.error });
  } else if (event.type === "goassist.degraded") {
    onDegraded(event);
  } else if (event.type === "conversation.item.input_audio_transcription.completed" && event.transcript.trim()) {
    announce(`You said: ${event.transcript}`);
  } else if (event.type === "conversation.item.truncated" && event.text === undefined) {
    // The standard event says how long the answer was heard, not which words: ask for them.
    made.send({ type: "conversation.item.retrieve", item_id: event.item_id });
  }
  draw(conversation.apply(event, performance.now()));
}

let drawnAt = 0;

function onAgentLevel(made, dbfs) {
  if (line !== made) return;
  const now = performance.now();
  if (dbfs > AUDIBLE_DBFS) {
    const entry = conversation.heard(now - METER_STEP_MS, METER_STEP_MS / 1000);
    if (entry && now - drawnAt > REDRAW_MS) {
      drawnAt = now;
      draw([entry]);
    }
  }
  if (made.state === "speaking") orb.level = loudness(dbfs);
}

function onMicrophoneLevel(made, dbfs) {
  if (line !== made) return;
  const level = made.muted ? 0 : loudness(dbfs);
  if (made.state !== "speaking") orb.level = level;
  meter.show(level);
}

function onWobble(interrupted) {
  if (!interrupted) notices.hide("wobble");
  else if (line) notices.show("wobble", { tone: "wait", title: "The connection is interrupted", message: "Trying to get it back…", closable: false });
}

function onDegraded({ level, effect }) {
  if (String(level).toLowerCase() === "normal") notices.hide("degraded");
  else notices.show("degraded", { tone: "info", title: "The server is under load", message: effect ?? "Answers may be shorter." });
}

function onError({ type, code, message }) {
  // An answer may be complete before its cancellation arrives.
  if (code === "response_cancel_not_active") return;
  const ours = type === "invalid_request_error";
  notices.show("error", { title: ours ? "The server did not accept that" : "Something failed at the server", message });
}

/** The device was unplugged or its permission withdrawn: go on by typing. */
function onMicrophoneGone() {
  setMuted(true);
  states.show(line.state, false);
  notices.show("microphone", {
    title: "The microphone is gone",
    message: "It was unplugged, or its permission was withdrawn. You can go on by typing.",
    actions: [["Use the microphone", addMicrophone]],
  });
}

async function addMicrophone() {
  const asked = line;
  try {
    await asked.addMicrophone();
  } catch (error) {
    if (line === asked) tellWhy(error);
    return;
  }
  if (line !== asked || !asked.hasMicrophone) return;
  notices.hide("microphone");
  setMuted(false);
  states.show(line.state);
}

function setMuted(muted) {
  line.mute(muted);
  const silent = muted || !line.hasMicrophone;
  const button = byId("mute");
  button.setAttribute("aria-pressed", String(silent));
  button.querySelector(".label").textContent = !line.hasMicrophone ? "Use mic" : muted ? "Unmute" : "Mute";
  button.querySelector("use").setAttribute("href", silent ? "#i-mic-off" : "#i-mic");
  document.body.toggleAttribute("data-muted", silent);
  if (silent) meter.clear();
}

/** Why there is no call or no microphone, and what to do about it. */
function tellWhy(error) {
  explain(error, notices, {
    inCall: line !== null,
    retry: () => (line ? addMicrophone() : connect({ microphone: true })),
    type: async () => { if (await connect({ microphone: false })) byId("message").focus(); },
  });
}

function draw(entries) {
  if (entries.length) log.draw(entries, conversation.entries);
}

function stopAnswer() {
  if (!line || byId("stop").disabled) return;
  line.interrupt();
}

async function say(text) {
  const words = text.trim();
  if (!words) return;
  if (!line && !(await (attempt?.connected ?? connect({ microphone: false })))) {
    byId("message").value ||= words;
    return;
  }
  line.interrupt();
  const id = `item_${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
  draw([conversation.type(id, words, performance.now())]);
  line.send({
    type: "conversation.item.create",
    item: { id, type: "message", role: "user", content: [{ type: "input_text", text: words }] },
  });
  line.send({ type: "response.create" });
}

byId("connect").onclick = () => {
  if (attempt) attempt.controller.abort();
  else connect({ microphone: true });
};
byId("hangup").onclick = () => end();
byId("stop").onclick = stopAnswer;
byId("mute").onclick = () => {
  if (line.hasMicrophone) setMuted(!line.muted);
  else addMicrophone();
};
byId("composer").onsubmit = (event) => {
  event.preventDefault();
  const text = byId("message").value;
  byId("message").value = "";
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
addEventListener("pagehide", () => line && end({ reason: "The page was left.", announced: false }));

setPhase("offline", "Not connected");
