/**
 * What she knows: one place for every change, so that a chip under a message and the memory panel
 * always show the same.
 *
 * Fires "changed" with detail {id, memory}; memory is null when it is gone.
 */

import { api } from "../net/api.js";

export class MemoryBook extends EventTarget {
  #changed(id, memory) {
    this.dispatchEvent(new CustomEvent("changed", { detail: { id, memory } }));
  }

  /** @returns {Promise<import("../net/api.js").Memory[]>} */
  list(options) {
    return api.memories(options);
  }

  async add(key, value) {
    const memory = await api.addMemory(key, value);
    this.#changed(memory.id, memory);
    return memory;
  }

  async edit(id, key, value) {
    const memory = await api.editMemory(id, { key, value });
    this.#changed(id, memory);
    return memory;
  }

  async remove(id) {
    await api.deleteMemory(id);
    this.#changed(id, null);
  }

  /** Take back the last change of one memory, or of all of them. */
  async undo(id = null) {
    const { undone } = id === null ? await api.undoLast() : await api.undoMemory(id);
    const { action, memory } = undone;
    this.#changed(memory.id, action === "stored" ? null : memory);
    return undone;
  }

  /** A turn told about this memory: nothing to ask the server for. */
  heard(memory) {
    this.#changed(memory.id, memory);
  }
}
