/** Everything she knows, in one place: search, add, edit, delete, undo. */

import { byId, el, iconButton } from "../dom.js";
import { dayName, errorText, onLanguage, say } from "../i18n.js";
import { provenance } from "./chips.js";
import { memoryForm } from "./memory_form.js";
import { panel } from "./panels.js";
import { toast, toastSentence } from "./toasts.js";

const TYPING_PAUSE_MS = 200;

/** @typedef {import("../net/api.js").Memory} Memory */

export class MemoryPanel {
  /** @param {import("../talk/memories.js").MemoryBook} book */
  constructor(book) {
    this.book = book;
    this.list = byId("memory-list");
    this.search = byId("memory-search");
    this.past = byId("memory-all");
    this.empty = byId("memory-empty");
    this.count = byId("memory-count");
    this.asked = 0; // only the latest search may fill the list
    this.panel = panel("memory", "open-memory", () => this.refresh());
    byId("memory-add").append(memoryForm(null, (key, value) => this.#add(key, value), null));
    byId("memory-undo").addEventListener("click", () => this.#undo(null));
    let timer = 0;
    this.search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.refresh(), TYPING_PAUSE_MS);
    });
    this.past.addEventListener("change", () => this.refresh());
    book.addEventListener("changed", () => this.panel.dialog.open && this.refresh());
    onLanguage(() => this.panel.dialog.open && this.refresh());
  }

  async #attempt(work) {
    try {
      await work();
    } catch (error) {
      toastSentence(errorText(error));
    }
  }

  refresh() {
    this.asked += 1;
    const asked = this.asked;
    return this.#attempt(async () => {
      const q = this.search.value.trim();
      const live = await this.book.list({ q });
      const all = this.past.checked ? await this.book.list({ q, all: true }) : live;
      if (asked === this.asked) this.#show(all, new Set(live.map((memory) => memory.id)), q);
    });
  }

  /** @param {Memory[]} memories @param {Set<number>} live */
  #show(memories, live, q) {
    const held = document.activeElement?.closest?.("li.memory")?.dataset.memory;
    this.list.replaceChildren(...memories.map((memory) => this.#row(memory, live.has(memory.id))));
    this.empty.hidden = memories.length > 0;
    say(this.empty, "text", q ? "memory.none" : "memory.empty");
    say(this.count, "text", ["memory.count", { count: live.size }]);
    if (held) this.list.querySelector(`[data-memory="${CSS.escape(held)}"] button`)?.focus();
  }

  /** @param {Memory} memory */
  #row(memory, live) {
    const row = el("li", { class: `memory${live ? "" : " past"}`, "data-memory": memory.id });
    const tools = el("div", { class: "chip-tools" });
    const { key } = memory;
    tools.append(iconButton("undo", ["memory.item.undo", { key }], () => this.#undo(memory.id)));
    if (live) {
      tools.append(
        iconButton("edit", ["memory.item.edit", { key }], () => this.#edit(row, memory)),
        iconButton("trash", ["memory.item.delete", { key }], () => this.#remove(memory)),
      );
    }
    row.append(
      el(
        "div",
        { class: "memory-fact" },
        el("p", { class: "memory-key", dir: "auto" }, key),
        el("p", { class: "memory-value", dir: "auto" }, memory.value),
      ),
      tools,
      el("div", { class: "memory-source" }, ...this.#badges(memory, live), ...provenance(memory)),
    );
    return row;
  }

  #badges(memory, live) {
    const badges = [el("span", { class: "badge", say: `memory.subject.${memory.subject}` })];
    if (!live) badges.push(el("span", { class: "badge", say: "memory.expired" }));
    else if (memory.expires) {
      const date = dayName(new Date(new Date(memory.expires).getTime() - 1)); // up to, not including
      badges.push(el("span", { class: "badge", say: ["memory.expires", { date }] }));
    }
    return [el("p", { class: "badges" }, ...badges)];
  }

  #add(key, value) {
    return this.#attempt(async () => {
      await this.book.add(key, value);
      toast("memory.added", { label: "undo", run: () => this.#undo(null) });
    });
  }

  #edit(row, memory) {
    const form = memoryForm(
      memory,
      (key, value) =>
        this.#attempt(async () => {
          await this.book.edit(memory.id, key, value);
          toast("memory.saved", { label: "undo", run: () => this.#undo(memory.id) });
        }),
      () => {
        const fresh = this.#row(memory, true);
        row.replaceWith(fresh);
        fresh.querySelectorAll("button")[1].focus();
      },
    );
    row.replaceChildren(form);
    form.begin();
  }

  #remove(memory) {
    return this.#attempt(async () => {
      await this.book.remove(memory.id);
      toast(["memory.deleted", { key: memory.key }], {
        label: "undo",
        run: () => this.#undo(memory.id),
      });
      if (document.activeElement === document.body) this.search.focus();
    });
  }

  #undo(id) {
    return this.#attempt(async () => {
      await this.book.undo(id);
      toast("memory.undone");
    });
  }
}
