/**
 * The frames of her face: a lattice over eyes x mouth x pose, loaded nearest first.
 *
 * The server names a frame by three indices. Here a place on the lattice may lie between
 * indices, so a `Point` is continuous: {eyes: 2.4, mouth: 0, pose: 3}.
 *
 * @typedef {{eyes: number, mouth: number, pose: number}} Expression  standard deviations
 * @typedef {{eyes: number, mouth: number, pose: number}} Point       lattice indices, continuous
 * @typedef {{id: string, axes: {eyes: number[], mouth: number[], pose: number[]},
 *            closed_eyes: number | null}} Manifest
 */

const REQUESTS_AT_ONCE = 3; // leaves the browser's other connections to the conversation

export class Lattice {
  /**
   * @param {Manifest} manifest
   * @param {(path: string) => string} urlOf
   */
  constructor(manifest, urlOf) {
    this.manifest = manifest;
    this.urlOf = urlOf;
    this.closedEyes = manifest.closed_eyes ?? null;
    this.size = {
      eyes: manifest.axes.eyes.length,
      mouth: manifest.axes.mouth.length,
      pose: manifest.axes.pose.length,
    };
    /** @type {Map<string, ImageBitmap>} */
    this.bitmaps = new Map();
    /** @type {Set<string>} frames that are on their way, or that the server could not give */
    this.asked = new Set();
    this.failures = 0;
    this.running = 0;
    this.paused = false;
    /** @type {Point} */
    this.center = { eyes: 0, mouth: 0, pose: 0 };
  }

  get total() {
    return this.size.eyes * this.size.mouth * this.size.pose;
  }

  /**
   * The continuous index of a value on an axis, clamped to the axis.
   * The closed-eyes step belongs to blinks alone, so no expression reaches it.
   * @param {"eyes" | "mouth" | "pose"} axis
   * @param {number} value standard deviations
   */
  indexOf(axis, value) {
    const values = this.manifest.axes[axis];
    const skip = axis === "eyes" ? this.closedEyes : null;
    const steps = values.map((at, index) => ({ at, index })).filter((s) => s.index !== skip);
    if (value <= steps[0].at) return steps[0].index;
    for (let i = 1; i < steps.length; i++) {
      const [low, high] = [steps[i - 1], steps[i]];
      if (value <= high.at) {
        return low.index + ((value - low.at) / (high.at - low.at)) * (high.index - low.index);
      }
    }
    return steps[steps.length - 1].index;
  }

  /**
   * How many steps of an axis `span` is, on average.
   * @param {"eyes" | "mouth" | "pose"} axis
   * @param {number} span standard deviations
   */
  steps(axis, span) {
    const values = this.manifest.axes[axis];
    return values.length < 2 ? 0 : (span * (values.length - 1)) / (values.at(-1) - values[0]);
  }

  /**
   * Pose rests on a frame, never between two; eyes and mouth do so where they are close to one.
   * @param {Expression} expression
   * @returns {Point}
   */
  point(expression) {
    const settled = (index) => {
      const whole = Math.round(index);
      return Math.abs(index - whole) < 0.15 ? whole : index;
    };
    return {
      eyes: settled(this.indexOf("eyes", expression.eyes)),
      mouth: settled(this.indexOf("mouth", expression.mouth)),
      pose: Math.round(this.indexOf("pose", expression.pose)),
    };
  }

  /** The frame of a cell, or the nearest one already here, or null before the first has come. */
  frame(eyes, mouth, pose) {
    const exact = this.bitmaps.get(`${eyes}-${mouth}-${pose}`);
    if (exact) return exact;
    let best = null;
    let bestDistance = Infinity;
    for (const [name, bitmap] of this.bitmaps) {
      const [e, m, p] = name.split("-").map(Number);
      const distance = Math.abs(e - eyes) + Math.abs(m - mouth) + 3 * Math.abs(p - pose);
      if (distance < bestDistance) [best, bestDistance] = [bitmap, distance];
    }
    return best;
  }

  /** Load everything, beginning around `center`; safe to call again with a new centre. */
  load(center) {
    this.center = center;
    this.#fill();
  }

  /** While a reply is being made the server has better things to do than render spare frames. */
  pause(paused) {
    this.paused = paused;
    if (!paused) this.#fill();
  }

  #fill() {
    const limit = this.paused && this.bitmaps.size > 0 ? 1 : REQUESTS_AT_ONCE;
    while (this.running < limit) {
      const name = this.#next();
      if (name === null) return;
      this.asked.add(name);
      this.running += 1;
      this.#fetch(name).finally(() => {
        this.running -= 1;
        this.#fill();
      });
    }
  }

  /** @returns {string | null} the missing frame nearest to the centre */
  #next() {
    const { eyes, mouth, pose } = this.center;
    let best = null;
    let bestDistance = Infinity;
    for (let p = 0; p < this.size.pose; p++) {
      for (let e = 0; e < this.size.eyes; e++) {
        for (let m = 0; m < this.size.mouth; m++) {
          const distance = Math.abs(e - eyes) + Math.abs(m - mouth) + 2.5 * Math.abs(p - pose);
          if (distance >= bestDistance || this.asked.has(`${e}-${m}-${p}`)) continue;
          [best, bestDistance] = [`${e}-${m}-${p}`, distance];
        }
      }
    }
    return best;
  }

  async #fetch(name) {
    const url = this.urlOf(`api/face/frames/${name}.webp?v=${encodeURIComponent(this.manifest.id)}`);
    const priority = this.bitmaps.size === 0 ? "high" : "low";
    try {
      const response = await fetch(url, { priority });
      if (!response.ok) throw new Error(`${response.status} ${url}`);
      this.bitmaps.set(name, await createImageBitmap(await response.blob()));
      this.failures = 0;
    } catch {
      // The server may be restarting: ask again, more and more slowly. A neighbour stands in.
      this.failures += 1;
      await new Promise((wake) => setTimeout(wake, Math.min(500 * 2 ** this.failures, 30_000)));
      this.asked.delete(name);
    }
  }
}
