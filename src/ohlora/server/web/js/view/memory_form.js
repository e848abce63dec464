/** The small form with which a memory is added or edited in place: what, content, save. */

import { el, iconButton } from "../dom.js";
import { say } from "../i18n.js";

let forms = 0;

/**
 * @param {{key: string, value: string} | null} memory null for a new one
 * @param {(key: string, value: string) => Promise<void>} save
 * @param {(() => void) | null} cancel null: the form stays
 */
export function memoryForm(memory, save, cancel) {
  forms += 1;
  const field = (name, limit) => {
    const id = `memory-${name}-${forms}`;
    const input = el("input", { id, maxlength: limit, required: true, autocomplete: "off" });
    say(input, "placeholder", `memory.${name}.example`);
    input.value = memory?.[name] ?? "";
    return { input, row: el("div", { class: "field" }, el("label", { for: id, say: `memory.${name}` }), input) };
  };
  const key = field("key", 40);
  const value = field("value", 300);
  const submit = el("button", { class: "text-button strong", say: memory ? "save" : "memory.add" });
  const form = el(
    "form",
    {
      class: "inline-edit",
      onsubmit: async (event) => {
        event.preventDefault();
        if (!key.input.value.trim() || !value.input.value.trim()) return;
        submit.disabled = true;
        try {
          await save(key.input.value, value.input.value);
          if (!memory) {
            form.reset();
            key.input.focus();
          }
        } finally {
          submit.disabled = false;
        }
      },
      onkeydown: (event) => {
        if (event.key !== "Escape" || !cancel || event.isComposing) return;
        event.preventDefault(); // Esc leaves the form, not the panel around it
        event.stopPropagation();
        cancel();
      },
    },
    key.row,
    value.row,
    el("div", { class: "inline-actions" }, submit, cancel && iconButton("close", "cancel", cancel)),
  );
  form.begin = () => {
    value.input.focus();
    value.input.select();
  };
  return form;
}
