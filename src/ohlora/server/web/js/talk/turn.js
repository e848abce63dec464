/**
 * One reply as it arrives. Events carry `seq` from 0 without holes, so a repeat is dropped and a
 * hole is noticed: after a reload or a dropped socket nothing shows twice and nothing is missing.
 *
 * @typedef {import("../net/api.js").MemoryUse} MemoryUse
 */
export class Turn {
  /** @param {string} responseId @param {string} sessionId */
  constructor(responseId, sessionId) {
    this.responseId = responseId;
    this.sessionId = sessionId;
    this.seq = -1; // the last event applied
    this.askedAfter = null; // the seq after which a missing part was last asked for
    this.text = "";
    this.messageId = null;
    this.source = null;
    /** @type {MemoryUse[]} */
    this.memories = [];
    this.expression = null;
    /** @type {"streaming" | "complete" | "interrupted" | "crashed" | "failed"} */
    this.status = "streaming";
    this.error = null;
    this.stopped = false; // the person pressed stop; `done` has not come yet
    this.known = 0; // characters that had been shown before a reload
  }

  /** Catching up after a reload: what comes was said before. */
  get replaying() {
    return this.text.length <= this.known;
  }

  get over() {
    return this.status !== "streaming";
  }

  /**
   * @param {{type: string, seq: number} & Record<string, any>} event
   * @returns {"applied" | "repeat" | "hole"}
   */
  apply(event) {
    if (event.seq <= this.seq || this.over) return "repeat";
    if (event.seq > this.seq + 1) return "hole";
    this.seq = event.seq;
    switch (event.type) {
      case "token":
        this.text += event.text;
        break;
      case "reply":
        this.text = event.text;
        this.messageId = event.message_id;
        this.source = event.source;
        break;
      case "expression":
        this.expression = { eyes: event.eyes, mouth: event.mouth, pose: event.pose };
        break;
      case "memory":
        this.memories.push({ action: event.action, memory: event.memory, score: event.score });
        break;
      case "done":
        this.text = event.text;
        this.status = event.reason;
        break;
      case "error":
        this.status = "failed";
        this.error = { code: event.code, en: event.message, ko: event.message_ko };
        break;
    }
    return "applied";
  }
}
