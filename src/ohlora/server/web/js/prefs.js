/** What the person chose, remembered on this device: theme, language, drafts, the open session. */

function get(key) {
  try {
    return localStorage.getItem(`ohlora.${key}`);
  } catch {
    return null; // storage is forbidden: choices then last as long as the page
  }
}

function set(key, value) {
  try {
    if (value === null || value === "") localStorage.removeItem(`ohlora.${key}`);
    else localStorage.setItem(`ohlora.${key}`, value);
  } catch {
    // see get
  }
}

export const prefs = {
  get session() {
    return get("session");
  },
  set session(id) {
    set("session", id);
  },

  /** @param {string | null} session null: the new conversation that has no id yet */
  draft: (session) => get(`draft.${session ?? "new"}`) ?? "",
  keepDraft: (session, text) => set(`draft.${session ?? "new"}`, text),

  set language(value) {
    set("language", value);
  },

  /** @returns {"light" | "dark"} what is shown now */
  get theme() {
    const chosen = document.documentElement.dataset.theme;
    if (chosen === "light" || chosen === "dark") return chosen;
    return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  },
  set theme(value) {
    document.documentElement.dataset.theme = value;
    set("theme", value);
  },

  get lessMotion() {
    return matchMedia("(prefers-reduced-motion: reduce)").matches;
  },
};
