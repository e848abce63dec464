/**
 * Chips under a reply: what she remembered from it (undo, edit, delete) and which memory she used
 * (its score, and the sentence it came from).
 *
 * @typedef {import("../net/api.js").MemoryUse} MemoryUse
 */

import { el, icon, iconButton } from "../dom.js";
import { clockTime, dayName, errorText, t } from "../i18n.js";
import { memoryForm } from "./memory_form.js";
import { announce, toast, toastSentence } from "./toasts.js";

let chips = 0;

/** @param {MemoryUse} use @param {import("../talk/memories.js").MemoryBook} book */
export function memoryChip(use, book) {
  return use.action === "recalled" ? recalledChip(use) : keptChip(use, book);
}

/** "key  value", each as text. */
function fact(memory) {
  return [
    el("span", { class: "chip-key", dir: "auto" }, memory.key),
    el("span", { class: "chip-value", dir: "auto" }, memory.value),
  ];
}

/** Used for this reply: opens to say why. @param {MemoryUse} use */
function recalledChip({ memory, score }) {
  chips += 1;
  const id = `why-${chips}`;
  const percent = score === null || score === undefined ? null : score.toFixed(2);
  const button = el(
    "button",
    { type: "button", class: "chip-face", "aria-expanded": "false", "aria-controls": id },
    icon("spark"),
    el("span", { class: "chip-action", say: "chip.recalled" }),
    ...fact(memory),
    percent && el("span", { class: "chip-score", "aria-hidden": "true" }, percent),
    percent && el("span", { class: "visually-hidden", say: ["chip.score", { score: percent }] }),
  );
  const why = el("div", { class: "chip-why", id, hidden: true }, ...provenance(memory, percent));
  button.addEventListener("click", () => {
    why.hidden = !why.hidden;
    button.setAttribute("aria-expanded", `${!why.hidden}`);
  });
  return el("li", { class: "chip recalled", "data-memory": memory.id }, button, why);
}

/** Where a memory comes from. @returns {HTMLElement[]} */
export function provenance(memory, percent = null) {
  const from = memory.source_text
    ? el("p", { say: ["memory.from", { text: memory.source_text }], dir: "auto" })
    : el("p", { say: "memory.byhand" });
  const created = new Date(memory.created);
  const line = el("p", { class: "faint" }, `${dayName(created)} ${clockTime(created)}`);
  if (percent) line.append(" · ", el("span", { say: ["chip.score", { score: percent }] }));
  return [from, line];
}

/** Stored or updated by this turn. */
function keptChip({ action, memory }, book) {
  let current = memory;
  const item = el("li", { class: "chip kept", "data-memory": memory.id, tabindex: -1 });

  const attempt = async (work) => {
    try {
      await work();
    } catch (error) {
      toastSentence(errorText(error));
      if (error.status === 404) gone("forgotten"); // deleted elsewhere
    }
    // The button that was pressed is gone: keep the keyboard where it was.
    if (document.activeElement === document.body) (item.querySelector("button") ?? item).focus();
  };
  const undo = () =>
    attempt(async () => {
      const undone = await book.undo(current.id);
      if (undone.action === "stored") gone("undone");
      else show("undone");
      announce(t("memory.undone"));
    });
  const remove = () =>
    attempt(async () => {
      await book.remove(current.id);
      gone("forgotten");
      toast(["memory.deleted", { key: current.key }], { label: "undo", run: restore });
    });
  const restore = () =>
    attempt(async () => {
      await book.undo(current.id);
      show(action === "forgotten" ? "undone" : action);
    });

  function show(state) {
    item.classList.remove("gone");
    item.replaceChildren(
      el(
        "span",
        { class: "chip-face" },
        icon("check"),
        el("span", { class: "chip-action", say: `chip.${state}` }),
        ...fact(current),
      ),
      el(
        "span",
        { class: "chip-tools" },
        iconButton("undo", ["memory.item.undo", { key: current.key }], undo),
        iconButton("edit", ["memory.item.edit", { key: current.key }], edit),
        iconButton("trash", ["memory.item.delete", { key: current.key }], remove),
      ),
    );
  }

  function gone(state) {
    item.classList.add("gone");
    const tools = el("span", { class: "chip-tools" });
    if (state === "forgotten") {
      tools.append(iconButton("undo", ["memory.item.undo", { key: current.key }], restore));
    }
    item.replaceChildren(
      el(
        "span",
        { class: "chip-face" },
        el("span", { class: "chip-action", say: `chip.${state}` }),
        el("s", {}, ...fact(current)),
      ),
      tools,
    );
  }

  function edit() {
    const form = memoryForm(
      current,
      (key, value) =>
        attempt(async () => {
          current = await book.edit(current.id, key, value);
          show("updated");
          announce(t("memory.saved"));
        }),
      () => {
        show(action);
        item.querySelectorAll(".chip-tools button")[1]?.focus();
      },
    );
    item.replaceChildren(form);
    form.begin();
  }

  const onChanged = ({ detail }) => {
    if (!item.isConnected) return book.removeEventListener("changed", onChanged);
    if (detail.id !== current.id) return;
    if (detail.memory === null) return gone("forgotten");
    current = detail.memory;
    if (!item.querySelector("form")) show(action);
  };
  book.addEventListener("changed", onChanged);

  if (action === "forgotten") gone("forgotten");
  else show(action);
  return item;
}
