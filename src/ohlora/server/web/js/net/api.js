/**
 * The HTTP side of the server: JSON in, JSON out, one error type.
 *
 * @typedef {{id: string, title: string, created: string, updated: string, messages: number}} SessionInfo
 * @typedef {{id: number, key: string, value: string, text: string, subject: "user" | "persona" | "other",
 *   created: string, updated: string, expires: string | null, source_message_id: number | null,
 *   source_text: string | null}} Memory
 * @typedef {{action: "recalled" | "stored" | "updated", memory: Memory, score: number | null}} MemoryUse
 * @typedef {{id: number, role: "user" | "assistant", text: string, created: string,
 *   status: "complete" | "streaming" | "interrupted" | "crashed", source: string | null,
 *   response_id: string | null, client_id?: string | null, memories: MemoryUse[]}} Message
 */

/** A failure the person should read: the server's own sentence, or none when it was not reached. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 when the server was not reached
   * @param {{code?: string, message?: string, message_ko?: string}} [detail]
   */
  constructor(status, detail = {}) {
    super(detail.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = detail.code ?? (status === 0 ? "network" : `http-${status}`);
    this.en = detail.message ?? null;
    this.ko = detail.message_ko ?? null;
  }
}

/** Works below a path prefix too: everything is relative to the page. */
export function urlOf(path) {
  return new URL(path, document.baseURI).href;
}

async function call(method, path, body) {
  let response;
  try {
    response = await fetch(urlOf(path), {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0);
  }
  const data = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, data?.error);
  return data;
}

const id = encodeURIComponent;

export const api = {
  info: () => call("GET", "api/info"),

  /** @returns {Promise<SessionInfo[]>} newest first */
  sessions: () => call("GET", "api/sessions"),
  /** @returns {Promise<SessionInfo>} */
  newSession: () => call("POST", "api/sessions", {}),
  renameSession: (session, title) => call("PATCH", `api/sessions/${id(session)}`, { title }),
  deleteSession: (session) => call("DELETE", `api/sessions/${id(session)}`),

  /** @returns {Promise<{messages: Message[], more: boolean}>} oldest first */
  messages(session, { before = null, limit = 50 } = {}) {
    const query = new URLSearchParams({ limit: `${limit}` });
    if (before !== null) query.set("before", `${before}`);
    return call("GET", `api/sessions/${id(session)}/messages?${query}`);
  },

  /** @returns {Promise<Memory[]>} */
  memories({ q = "", all = false } = {}) {
    const query = new URLSearchParams();
    if (q) query.set("q", q);
    if (all) query.set("all", "1");
    return call("GET", `api/memories?${query}`);
  },
  /** @returns {Promise<Memory>} */
  addMemory: (key, value) => call("POST", "api/memories", { key, value }),
  /** @returns {Promise<Memory>} */
  editMemory: (memory, change) => call("PATCH", `api/memories/${id(memory)}`, change),
  deleteMemory: (memory) => call("DELETE", `api/memories/${id(memory)}`),
  /** @returns {Promise<{undone: {action: string, memory: Memory}}>} the memory as it is now */
  undoLast: () => call("POST", "api/memories/undo", {}),
  /** @returns {Promise<{undone: {action: string, memory: Memory}}>} */
  undoMemory: (memory) => call("POST", `api/memories/${id(memory)}/undo`, {}),
};
