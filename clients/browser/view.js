// The page's moving parts: the conversation, notices and what a state is called.

const HEADLINES = {
  offline: ["Ready when you are", "Connect and just start talking. You can interrupt at any time."],
  lost: ["Disconnected", "Connect to go on."],
  connecting: ["Connecting…", "Opening the microphone and the line."],
  waiting: ["Waiting for the server", "The call begins by itself as soon as it is ready."],
  idle: ["Go ahead", "Say something. I am listening."],
  listening: ["Listening", "Take your time."],
  thinking: ["Thinking", "One moment."],
  speaking: ["Speaking", "Just talk if you want to interrupt."],
  interrupted: ["Interrupted", "Go on, I am listening."],
};
const BEFORE_A_CALL = new Set(["offline", "lost", "connecting", "waiting"]);
const WITHOUT_MICROPHONE = {
  idle: ["Type a message", "The microphone is off; answers are spoken."],
  listening: ["Your turn", "Type a message. The microphone is off."],
  speaking: ["Speaking", "Type, or stop the answer, to interrupt."],
  interrupted: ["Interrupted", "Type the next message."],
};
const INTERRUPTED_SHOWN_MS = 900;
const CUT_SHOWN = 100;

const byId = (id) => document.getElementById(id);

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Say something to screen readers without moving anything. */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** The state in words, in the row of five, and in colour. An interruption stays long enough to be seen. */
export class StateView {
  #holdUntil = 0;
  #timer = null;
  #onShow;

  /** onShow(state) is called when a state becomes visible. */
  constructor(onShow) {
    this.#onShow = onShow;
  }

  show(state, microphone = true) {
    clearTimeout(this.#timer);
    const wait = ["idle", "listening"].includes(state) ? this.#holdUntil - performance.now() : 0;
    if (wait > 0) {
      this.#timer = setTimeout(() => this.#put(state, microphone), wait);
      return;
    }
    this.#holdUntil = state === "interrupted" ? performance.now() + INTERRUPTED_SHOWN_MS : 0;
    this.#put(state, microphone);
  }

  #put(state, microphone) {
    const [headline, hint] = (!microphone && WITHOUT_MICROPHONE[state]) || HEADLINES[state];
    byId("headline").textContent = headline;
    byId("hint").textContent = hint;
    const named = BEFORE_A_CALL.has(state) ? "idle" : state;
    document.body.dataset.state = named;
    for (const item of byId("states").children) {
      if (item.dataset.state === named) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
    this.#onShow(state);
  }
}

/** The microphone's level: quick to rise, slow to fall, drawn twenty times a second. */
export class MeterView {
  #element;
  #peak = 0;
  #drawnAt = 0;

  constructor(meter) {
    this.#element = meter;
  }

  /** level is 0 to 1, every 10 ms. */
  show(level) {
    this.#peak = Math.max(level, this.#peak * 0.96);
    if (performance.now() - this.#drawnAt < 50) return;
    this.#drawnAt = performance.now();
    this.#element.style.setProperty("--level", this.#peak.toFixed(3));
    this.#element.setAttribute("aria-valuenow", Math.round(this.#peak * 100));
  }

  clear() {
    this.#peak = this.#drawnAt = 0;
    this.show(0);
  }
}

/** One notice at a time for each key, with what went wrong and what can be done. */
export class Notices {
  #shown = new Map();

  /**
   * actions: [label, onClick] pairs; the first is the one to take, also by Enter in the field. field: the label of a
   * secret to be typed. tone: "error", "wait" or "info".
   */
  show(key, { tone = "error", title, message, field = null, actions = [], closable = true }) {
    this.hide(key);
    const notice = element("div", `notice ${tone}`);
    notice.setAttribute("role", tone === "error" ? "alert" : "status");
    const words = element("div", "words");
    words.append(element("strong", "", title), element("p", "", message));
    notice.append(words);
    const input = element("input", "secret");
    if (field) {
      input.type = "password";
      input.setAttribute("aria-label", field);
      input.onkeydown = (event) => event.key === "Enter" && buttons.firstChild.click();
      words.append(input);
    }
    const buttons = element("div", "actions");
    actions.forEach(([label, onClick], i) => {
      const button = element("button", i ? "button quiet" : "button", label);
      button.type = "button";
      button.onclick = onClick;
      buttons.append(button);
    });
    if (actions.length) words.append(buttons);
    if (closable) {
      const close = element("button", "close");
      close.type = "button";
      close.setAttribute("aria-label", "Close this message");
      close.innerHTML = '<svg aria-hidden="true"><use href="#i-close"/></svg>';
      close.onclick = () => this.hide(key);
      notice.append(close);
    }
    byId("notices").append(notice);
    this.#shown.set(key, notice);
    return { update: (text) => { words.querySelector("p").textContent = text; }, field: input };
  }

  hide(key) {
    this.#shown.get(key)?.remove();
    this.#shown.delete(key);
  }

  clear() {
    for (const key of [...this.#shown.keys()]) this.hide(key);
  }
}

/** Draws the entries of a Conversation and keeps the newest in sight, unless the reader has scrolled up. */
export class ConversationView {
  #items = new Map();
  #expanded = new Set();
  #log = byId("log");
  #scroller = byId("scroller");
  #atEnd = true;

  constructor() {
    this.#scroller.addEventListener("scroll", () => {
      this.#atEnd = this.#scroller.scrollHeight - this.#scroller.scrollTop - this.#scroller.clientHeight < 60;
    });
    // A notice or a phone's keyboard takes room away from what is read.
    new ResizeObserver(() => this.#follow()).observe(this.#scroller);
  }

  draw(entries, all) {
    for (const entry of entries) this.#drawEntry(entry, all);
    byId("welcome").hidden = this.#log.children.length > 0;
    this.#follow();
  }

  #follow() {
    if (this.#atEnd) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  /** A line between two calls, where something was said before. */
  divide() {
    if (this.#log.children.length) this.#log.append(element("li", "divider", "new call"));
  }

  #drawEntry(entry, all) {
    const wanted = all.includes(entry) && (entry.text || (entry.role === "agent" && !entry.done));
    let item = this.#items.get(entry.id);
    if (!wanted) {
      item?.remove();
      this.#items.delete(entry.id);
      return;
    }
    if (!item) {
      item = element("li", `entry ${entry.role}`);
      item.append(element("span", "who", entry.role === "user" ? "You" : "Agent"), element("p", "text"), element("div", "foot"));
      this.#items.set(entry.id, item);
      // The place among those that are drawn is the place in the conversation.
      const next = all.slice(all.indexOf(entry) + 1).map((each) => this.#items.get(each.id)).find(Boolean);
      this.#log.insertBefore(item, next ?? null);
    }
    item.classList.toggle("live", !entry.done);
    item.classList.toggle("typed", entry.typed);
    const expand = () => {
      this.#expanded.add(entry.id);
      this.#drawEntry(entry, all);
    };
    fill(item.querySelector(".text"), pieces(entry, this.#expanded.has(entry.id)), expand);
    foot(item.querySelector(".foot"), entry);
  }
}

/** The text as [class, words] pieces: certain, still uncertain, cut off and how much more of that there is. */
function pieces({ role, text, done, stable, spoken }, expanded) {
  if (role === "user" && !done) return [["", text.slice(0, stable)], ["guess", text.slice(stable)]];
  if (role === "agent" && spoken !== null) {
    const cut = text.slice(spoken).trimStart();
    const end = expanded || cut.length < 1.5 * CUT_SHOWN ? cut.length : cut.lastIndexOf(" ", CUT_SHOWN);
    const more = cut.slice(end).split(/\s+/).filter(Boolean).length;
    return [["", text.slice(0, text.length - cut.length)], ["cut", cut.slice(0, end)], ["more", more ? `… ${more} more words` : ""]];
  }
  if (role === "agent" && !text) return [["dots", "…"]];
  return [["", text]];
}

const TAGS = { cut: "s", more: "button" };

function fill(paragraph, wanted, expand) {
  const parts = wanted.filter(([, words]) => words);
  const same = parts.length === paragraph.children.length &&
    parts.every(([kind], i) => paragraph.children[i].className === kind);
  if (!same) paragraph.replaceChildren(...parts.map(([kind]) => element(TAGS[kind] ?? "span", kind)));
  parts.forEach(([kind, words], i) => {
    const child = paragraph.children[i];
    if (child.textContent !== words) child.textContent = words;
    if (kind === "more") child.onclick = expand;
  });
}

const LATENCIES = [
  ["endpointing_ms", "end of turn decided"],
  ["transcript_ms", "transcript ready"],
  ["ttft_ms", "first word"],
  ["tts_first_chunk_ms", "first sound made"],
  ["ttfa_ms", "first sound sent"],
  ["heardMs", "heard in this page"],
  ["voice_to_voice_ms", "voice to voice"],
];

function foot(into, entry) {
  const chips = [];
  if (entry.failed) chips.push(element("span", "chip bad", "the answer failed"));
  if (entry.role === "agent" && entry.spoken !== null) {
    chips.push(element("span", "chip warm", entry.spoken ? "interrupted" : "interrupted before it was spoken"));
  }
  const first = entry.metrics?.ttfa_ms ?? entry.heardMs;
  if (first !== null && first !== undefined) chips.push(latency(entry, first));
  const key = JSON.stringify([entry.failed, entry.spoken, entry.metrics, entry.heardMs, Math.round(entry.heardS * 10)]);
  if (into.dataset.key === key) return;
  const open = into.querySelector("details")?.open;
  into.dataset.key = key;
  into.replaceChildren(...chips);
  if (open) into.querySelector("details").open = true;
}

function latency(entry, first) {
  const details = element("details", "latency");
  const summary = element("summary", "chip", `first sound ${Math.round(first)} ms`);
  summary.title = "Where the time went";
  const list = element("dl");
  const row = (name, value) => {
    const pair = element("div");
    pair.append(element("dt", "", name), element("dd", "", value));
    list.append(pair);
  };
  for (const [field, name] of LATENCIES) {
    const value = field === "heardMs" ? entry.heardMs : entry.metrics?.[field];
    if (value !== null && value !== undefined) row(name, `${Math.round(value)} ms`);
  }
  if (entry.metrics?.speculative) row("prepared ahead", "yes");
  row("sound heard", `${entry.heardS.toFixed(1)} s`);
  details.append(summary, list);
  return details;
}
