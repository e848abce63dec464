/**
 * Korean and English. `say(node, "text", key)` fills a node now and again when the language changes.
 *
 * Strings live in strings.js. {name} in a string is an argument; {name|이/가} adds the Korean
 * particle that fits the argument's last letter. {name} is always hers, in the page's language.
 * An argument {key: "..."} is itself a string here.
 */

import { strings } from "./strings.js";
import { prefs } from "./prefs.js";

/** @type {"ko" | "en"} */
let language = document.documentElement.lang === "ko" ? "ko" : "en";
const listeners = new Set();
let names = { ko: "오로라", en: "Oh-LoRA" };

export const currentLanguage = () => language;

/** @param {{ko: string, en: string}} hers */
export const setNames = (hers) => {
  names = hers;
};

/** @param {() => void} listener called after the language changed */
export const onLanguage = (listener) => listeners.add(listener);

export function setLanguage(next) {
  language = next;
  prefs.language = next;
  document.documentElement.lang = next;
  document.querySelectorAll("[data-text], [data-label], [data-placeholder]").forEach(fill);
  for (const listener of listeners) listener();
}

/** @param {string} key @param {Record<string, any>} [args] */
export function t(key, args = {}) {
  const text = strings[language][key];
  if (text === undefined) throw new Error(`strings.js has no ${language} "${key}"`);
  return text.replace(/\{(\w+)(?:\|([^}/]+)\/([^}]+))?\}/g, (_, name, withCoda, without) => {
    const arg = (name === "name" ? names[language] : args[name]) ?? "";
    const value = arg.key ? t(arg.key) : `${arg}`;
    return withCoda ? value + (endsInConsonant(value) ? withCoda : without) : value;
  });
}

/** Does the last syllable have a coda? 혜나 -> false, 오늘 -> true. */
export function endsInConsonant(word) {
  const code = word.charCodeAt(word.length - 1);
  return code >= 0xac00 && code <= 0xd7a3 && (code - 0xac00) % 28 !== 0;
}

/**
 * Bind a string to a node: as its text, its accessible name and tooltip, or its placeholder.
 * @param {Element} node
 * @param {"text" | "label" | "placeholder"} role
 * @param {string | [string, Record<string, any>]} what
 */
export function say(node, role, what) {
  const [key, args] = Array.isArray(what) ? what : [what, {}];
  node.dataset[role] = key;
  if (Object.keys(args).length > 0) node.dataset[`${role}Args`] = JSON.stringify(args);
  else delete node.dataset[`${role}Args`];
  fill(node);
}

function fill(node) {
  const get = (role) => t(node.dataset[role], JSON.parse(node.dataset[`${role}Args`] ?? "{}"));
  const { text, label, placeholder } = node.dataset;
  if (text) node.textContent = get("text");
  if (placeholder) node.setAttribute("placeholder", get("placeholder"));
  if (label) {
    node.setAttribute("aria-label", get("label"));
    if (node instanceof HTMLButtonElement) node.title = get("label");
  }
}

/** Fill every node of the static page. */
export function fillPage() {
  document.querySelectorAll("[data-text], [data-label], [data-placeholder]").forEach(fill);
}

/** The sentence of an error in the page's language. @param {any} error */
export function errorText(error) {
  const own = language === "ko" ? error?.ko : error?.en;
  if (own) return own;
  if (error?.status === 0) return t("error.network");
  if (error?.status === 401 || error?.status === 403) return t("error.denied");
  return t("error.unknown", { code: error?.code ?? error?.message ?? "?" });
}

const DAY_MS = 86_400_000;

/** 오늘, 어제, or the date. @param {Date} date */
export function dayName(date) {
  const start = (d) => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
  const ago = Math.round((start(new Date()) - start(date)) / DAY_MS);
  if (ago === 0) return t("day.today");
  if (ago === 1) return t("day.yesterday");
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString(language, { year, month: "long", day: "numeric", weekday: "long" });
}

export function clockTime(date) {
  return date.toLocaleTimeString(language, { hour: "numeric", minute: "2-digit" });
}
