// What was said, out of the server's events. Pure: no page, no clock; times are arguments.

/**
 * An entry of the conversation:
 *   id, role ("user" | "agent"), typed (by hand rather than said)
 *   text       all words so far
 *   stable     how many characters of a user's partial text will not change
 *   done       no more words will come
 *   spoken     for the agent: how many characters were heard, where the answer was cut off; null otherwise
 *   failed     the answer ended in an error
 *   metrics    goassist.metrics of the turn, null until it came
 *   heardMs    turn end → first audible sound in this page, null until it was heard
 *   heardS     seconds of the answer that sounded in this page
 */
export class Conversation {
  entries = [];
  #byResponse = new Map();
  #asked = null;

  /** A message that was typed here, before the server confirms it. */
  type(id, text, atMs) {
    this.#asked = atMs;
    return this.#entry(id, { role: "user", typed: true, text, done: true });
  }

  /** Take in one server event; returns the entries that changed. */
  apply(event, atMs) {
    switch (event.type) {
      case "input_audio_buffer.speech_started":
        // Holds the place among the entries; shown once it has words.
        return [this.#entry(event.item_id, { role: "user" })];
      case "input_audio_buffer.speech_stopped":
        this.#asked = atMs;
        return [];
      case "goassist.transcript":
        return [this.#entry(event.item_id, { role: "user", text: event.text, stable: event.stable_chars })];
      case "conversation.item.input_audio_transcription.completed":
        return [this.#entry(event.item_id, { role: "user", text: event.transcript.trim(), done: true })];
      case "conversation.item.added":
        return this.#added(event.item);
      case "conversation.item.deleted":
        return this.#deleted(event.item_id);
      case "response.output_item.added":
        if (event.item.type === "function_call") return []; // nothing that is said
        this.#byResponse.set(event.response_id, event.item.id);
        return [this.#entry(event.item.id, { role: "agent", asked: this.#asked })];
      case "response.output_audio_transcript.delta":
      case "response.output_text.delta":
        return [this.#grown(event.item_id, event.delta)];
      case "response.done":
        return this.#finished(event.response);
      case "conversation.item.truncated":
        return event.text === undefined ? [] : [this.#cut(event.item_id, event.text)];
      case "conversation.item.retrieved":
        return event.item.role === "assistant" ? [this.#cut(event.item.id, textOf(event.item))] : [];
      case "goassist.metrics":
        return this.#ofResponse(event.response_id, { metrics: event });
      default:
        return [];
    }
  }

  /** The agent was audible for `seconds`, from `atMs` on; returns the entry that sounded, or null. */
  heard(atMs, seconds) {
    const entry = this.entries.findLast((each) => each.role === "agent");
    if (!entry) return null;
    if (entry.heardMs === null && entry.asked !== null) entry.heardMs = Math.max(0, atMs - entry.asked);
    entry.heardS += seconds;
    return entry;
  }

  /** The call is over: no more words will come. Returns the entries that changed. */
  close() {
    return this.entries.filter((entry) => !entry.done).map((entry) => Object.assign(entry, { done: true }));
  }

  #entry(id, fields) {
    let entry = this.entries.find((each) => each.id === id);
    if (!entry) {
      entry = {
        id, role: "user", typed: false, text: "", stable: 0, done: false,
        spoken: null, failed: false, metrics: null, heardMs: null, heardS: 0, asked: null,
      };
      this.entries.push(entry);
    }
    return Object.assign(entry, fields);
  }

  #added(item) {
    if (item.type !== "message" || item.role !== "user") return [];
    const typed = item.content.some((part) => part.type === "input_text");
    return typed ? [this.#entry(item.id, { role: "user", typed: true, text: textOf(item), done: true })] : [];
  }

  #deleted(id) {
    const entry = this.entries.find((each) => each.id === id);
    this.entries = this.entries.filter((each) => each !== entry);
    return entry ? [Object.assign(entry, { text: "", done: true })] : [];
  }

  #grown(id, delta) {
    const entry = this.#entry(id, { role: "agent" });
    entry.text += delta;
    return entry;
  }

  #finished(response) {
    const changes = { done: true };
    if (response.status === "failed") changes.failed = true;
    if (response.status === "cancelled") {
      const entry = this.entries.find((each) => each.id === this.#byResponse.get(response.id));
      // What was heard is known once the item's truncation came; until then nothing of it is.
      changes.spoken = entry?.spoken ?? 0;
    }
    return this.#ofResponse(response.id, changes);
  }

  #cut(id, heard) {
    const entry = this.#entry(id, { role: "agent" });
    entry.spoken = heardLength(entry.text, heard);
    return entry;
  }

  #ofResponse(responseId, changes) {
    const id = this.#byResponse.get(responseId);
    return id ? [this.#entry(id, changes)] : [];
  }
}

/** How many characters of `text` the words of `heard` cover: spaces may differ between the two. */
export function heardLength(text, heard) {
  const words = heard.split(/\s+/).filter(Boolean).length;
  const pattern = /\S+/g;
  for (let i = 0; i < words; i++) if (!pattern.exec(text)) return text.length;
  return words ? pattern.lastIndex : 0;
}

function textOf(item) {
  return item.content.map((part) => part.text ?? part.transcript ?? "").join(" ").trim();
}
