/**
 * What the person has said and the server has not yet confirmed. Lives in sessionStorage, so a
 * reload in that moment loses nothing; `client_id` ties each entry to its bubble and its turn.
 *
 * @typedef {{client_id: string, session_id: string, text: string}} Pending
 */

const KEY = "ohlora.outbox";

/** @returns {Pending[]} */
function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
  } catch {
    return [];
  }
}

function write(entries) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(entries));
  } catch {
    // Storage is full or forbidden: the entry then lives only as long as this page.
  }
}

export class Outbox {
  constructor() {
    this.entries = read();
  }

  /** @param {Pending} entry */
  add(entry) {
    this.entries.push(entry);
    write(this.entries);
  }

  /** @returns {Pending | undefined} the entry, now gone */
  take(clientId) {
    const entry = this.entries.find((e) => e.client_id === clientId);
    this.entries = this.entries.filter((e) => e !== entry);
    write(this.entries);
    return entry;
  }

  of(sessionId) {
    return this.entries.filter((e) => e.session_id === sessionId);
  }
}

/** Random, also where crypto.randomUUID is missing (a page served over http on a local network). */
export function newClientId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
