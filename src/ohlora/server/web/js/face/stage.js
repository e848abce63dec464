/**
 * The canvas she lives on: blends lattice frames at their own size, then draws one enlarged picture.
 *
 * Tests read `data-fps`, `data-frames` and `data-cell` on the canvas.
 */

import { headShift } from "./align.js";

const SMALL = 0.02; // weights below this are not drawn
const REST_MS = 25; // between two pictures: every second one at 60 Hz, the model needs the rest
const LARGEST = 640; // canvas pixels; the frames hold no more detail than this shows
const MARGIN = 0.16; // of the frame: drawn above it, so that her hair does not touch the edge
const FADE = 0.3; // of the arch's half width: where her backdrop melts into the sky

export class Stage {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./lattice.js").Lattice} lattice
   * @param {import("./motion.js").Motion} motion
   */
  constructor(canvas, lattice, motion) {
    this.canvas = canvas;
    this.lattice = lattice;
    this.motion = motion;
    this.context = canvas.getContext("2d");
    this.near = scratch(); // the yaw she is at
    this.far = scratch(); // the yaw she turns to
    /** @type {Map<number, {x: number, y: number}>} */
    this.shifts = new Map();
    this.last = 0;
    this.frames = 0;
    this.counted = 0;
    this.mask = null;
    this.mood = "";
    this.onMood = () => {};
    this.draw = this.draw.bind(this);
  }

  start() {
    new ResizeObserver(() => this.#fit()).observe(this.canvas);
    this.#fit();
    requestAnimationFrame(this.draw);
  }

  #fit() {
    const shown = this.canvas.clientWidth * Math.min(devicePixelRatio, 2);
    const width = Math.min(LARGEST, Math.round(shown) || 1);
    if (this.canvas.width === width) return;
    this.canvas.width = width;
    this.canvas.height = Math.round(width * (1 + MARGIN));
  }

  /** @param {number} now milliseconds */
  draw(now) {
    requestAnimationFrame(this.draw);
    if (now - this.last < REST_MS) return;
    const dt = Math.min(0.1, this.last ? (now - this.last) / 1000 : 0);
    this.last = now;
    const pose = this.motion.step(dt);
    if (this.motion.mood !== this.mood) {
      this.mood = this.motion.mood;
      this.onMood();
    }
    if (this.lattice.bitmaps.size === 0) return;
    this.#paint(pose);
    if (this.frames === 0 && !this.counted) this.#arrive();
    this.#report(now, pose);
  }

  /** The first frame is here: show her, and tint the sky behind her like her own backdrop. */
  #arrive() {
    const dot = scratch();
    const [bitmap] = this.lattice.bitmaps.values();
    dot.drawImage(bitmap, 0, 0, bitmap.width, 0.06 * bitmap.height, 0, 0, 1, 1);
    const [red, green, blue] = dot.getImageData(0, 0, 1, 1).data;
    this.canvas.parentElement.style.setProperty("--backdrop", `${red} ${green} ${blue}`);
    this.canvas.classList.add("here");
  }

  #paint(at) {
    const { context, canvas } = this;
    const { width, height } = canvas;
    context.clearRect(0, 0, width, height);
    const from = Math.floor(at.pose);
    const between = at.pose - from;
    this.#blend(this.near, at.eyes, at.mouth, from);
    context.imageSmoothingQuality = "high";
    context.save();
    context.translate(width * (0.5 + at.x), height + width * (at.y - 0.1));
    context.rotate(at.turn);
    context.scale(at.zoom, at.zoom);
    context.translate(-width * 0.5, width * 0.1 - height);
    context.drawImage(this.near.canvas, 0, 0, width, height);
    if (between > SMALL) {
      this.#blend(this.far, at.eyes, at.mouth, from + 1);
      const shift = this.#shift(from);
      const fade = between * between * (3 - 2 * between);
      const [x, y] = [shift.x * width, shift.y * width];
      context.drawImage(this.near.canvas, x * between, y * between, width, height);
      context.globalAlpha = fade;
      context.drawImage(this.far.canvas, x * (between - 1), y * (between - 1), width, height);
    }
    context.restore();
  }

  /** Mix the (up to four) eye and mouth frames around a place, all at one yaw, into `target`. */
  #blend(target, eyes, mouth, pose) {
    const [e, m] = [Math.floor(eyes), Math.floor(mouth)];
    const [fe, fm] = [eyes - e, mouth - m];
    const layers = [
      [e, m, (1 - fe) * (1 - fm)],
      [e + 1, m, fe * (1 - fm)],
      [e, m + 1, (1 - fe) * fm],
      [e + 1, m + 1, fe * fm],
    ];
    let total = 0;
    let margin = 0;
    for (const [eye, lip, weight] of layers) {
      if (weight < SMALL) continue;
      const bitmap = this.lattice.frame(eye, lip, pose);
      margin = Math.round(MARGIN * bitmap.height);
      if (target.canvas.width !== bitmap.width) {
        target.canvas.width = bitmap.width;
        target.canvas.height = bitmap.height + margin;
      }
      total += weight;
      target.globalAlpha = weight / total; // each new layer takes its share from those below
      target.drawImage(bitmap, 0, margin);
    }
    target.globalAlpha = 1;
    // Her backdrop goes on above the frame: its uppermost row, drawn out.
    const { canvas } = target;
    target.drawImage(canvas, 0, margin, canvas.width, 2, 0, 0, canvas.width, margin);
    target.globalCompositeOperation = "destination-in";
    target.drawImage(this.#soft(canvas.width, canvas.height), 0, 0);
    target.globalCompositeOperation = "source-over";
  }

  /** The arch in which she is seen: opaque around her, clear towards the sides and the top. */
  #soft(width, height) {
    if (this.mask?.width === width) return this.mask;
    const mask = scratch(width, height);
    const picture = mask.createImageData(width, height);
    const spring = 0.52 * height; // below this line the arch has straight sides
    for (let y = 0; y < height; y++) {
      const up = 1.1 * Math.max(0, (spring - y) / spring);
      for (let x = 0; x < width; x++) {
        const aside = Math.abs((2 * x + 1) / width - 1);
        const k = Math.min(1, Math.max(0, (1 - Math.hypot(aside, up)) / FADE));
        picture.data[4 * (y * width + x) + 3] = 255 * k * k * (3 - 2 * k);
      }
    }
    mask.putImageData(picture, 0, 0);
    this.mask = mask.canvas;
    return this.mask;
  }

  #shift(from) {
    const known = this.shifts.get(from);
    if (known) return known;
    const { eyes, mouth } = this.motion.rest;
    const names = [from, from + 1].map((p) => `${Math.round(eyes)}-${Math.round(mouth)}-${p}`);
    const [a, b] = names.map((name) => this.lattice.bitmaps.get(name));
    if (!a || !b) return { x: 0, y: 0 };
    const shift = headShift(a, b);
    this.shifts.set(from, shift);
    return shift;
  }

  #report(now, at) {
    this.frames += 1;
    if (!this.counted) this.counted = now;
    const { dataset } = this.canvas;
    if (now - this.counted < 500) return;
    dataset.fps = ((this.frames * 1000) / (now - this.counted)).toFixed(1);
    dataset.frames = `${this.lattice.bitmaps.size}`;
    dataset.cell = [at.eyes, at.mouth, at.pose].map((v) => v.toFixed(1)).join(" ");
    this.frames = 0;
    this.counted = now;
  }
}

/** @returns {CanvasRenderingContext2D} of a canvas that is not on the page */
function scratch(width = 1, height = 1) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas.getContext("2d");
}
