/**
 * How her face moves: everything between "the reply was surprised" and where each frame lies.
 *
 * Each of eyes, mouth and pose follows its target like a critically damped spring. On top of it
 * lie blinks, the mouth that speaks, and idle life (breath, a glance, a small turn of the head).
 */

import { Speech } from "./speech.js";

const HOLD_S = 6; // a reply's expression stays this long after the last syllable
const CRY_S = 1.4; // but an open mouth closes most of the way sooner, as in life
const AFTERGLOW = 0.3; // what is left of it then
const SPEAK_STEPS = 2.4; // lattice steps the mouth opens for a wide vowel
const GLANCE_SD = 1.2; // how far she looks aside, in standard deviations of pose

/** Critically damped: arrives as fast as it can without overshooting. */
export class Spring {
  constructor(value, pace) {
    this.value = value;
    this.target = value;
    this.velocity = 0;
    this.pace = pace; // 1 / seconds; settles in about 4 / pace
  }

  /** Exact for any dt, so a slow machine sees the same curve. @param {number} dt seconds */
  step(dt) {
    const offset = this.value - this.target;
    const push = this.velocity + this.pace * offset;
    const decay = Math.exp(-this.pace * dt);
    this.value = this.target + (offset + push * dt) * decay;
    this.velocity = (this.velocity - this.pace * push * dt) * decay;
    if (Math.abs(this.value - this.target) < 1e-3 && Math.abs(this.velocity) < 1e-2) {
      this.value = this.target;
      this.velocity = 0;
    }
    return this.value;
  }
}

/** A blink every 2 to 6 s, about 150 ms long, now and then a double one. */
export class Blink {
  constructor(random = Math.random) {
    this.random = random;
    this.wait = 1.5;
    this.phase = 1; // 0..1 within a blink; 1 is open
  }

  /** @returns {number} how far the lids are down, 0..1 */
  step(dt) {
    if (this.phase < 1) {
      this.phase = Math.min(1, this.phase + dt / 0.16);
      const p = this.phase;
      return p < 0.4 ? p / 0.4 : p < 0.55 ? 1 : (1 - p) / 0.45;
    }
    this.wait -= dt;
    if (this.wait <= 0) {
      this.phase = 0;
      this.wait = this.random() < 0.12 ? 0.25 : 2 + 4 * this.random();
    }
    return 0;
  }
}

export class Motion {
  /**
   * @param {import("./lattice.js").Lattice} lattice
   * @param {import("./lattice.js").Point} rest where she is when nothing is said
   * @param {{random?: () => number}} [options]
   */
  constructor(lattice, rest, { random = Math.random } = {}) {
    this.lattice = lattice;
    this.rest = rest;
    this.random = random;
    this.eyes = new Spring(rest.eyes, 11);
    this.mouth = new Spring(rest.mouth, 32);
    this.pose = new Spring(rest.pose, 9);
    this.expression = rest;
    this.speech = new Speech();
    /** @type {{face: import("./lattice.js").Point, at: number}[]} faces her voice has not reached */
    this.coming = [];
    this.blink = new Blink(random);
    this.hold = 0;
    this.glance = { eyes: 0, pose: 0, wait: 3 };
    this.aside = Math.round(lattice.steps("pose", GLANCE_SD)); // pose rests on frames
    this.clock = 0;
    this.thinking = false;
    this.still = false; // the viewer asked the system for less motion
  }

  /**
   * She shows this once her voice is there, holds it, then relaxes.
   * @param {import("./lattice.js").Expression & {at?: number}} expression at: characters of the
   *   reply before its sentence
   * @returns {import("./lattice.js").Point}
   */
  show(expression) {
    const face = this.lattice.point(expression);
    this.coming.push({ face, at: expression.at ?? 0 });
    this.thinking = false;
    this.#reach();
    return face;
  }

  say(text) {
    this.thinking = false;
    if (!this.still) this.speech.add(text);
  }

  /** A reply that was half said before a reload: its voice goes on from there. */
  skip(text) {
    this.speech.skip(text);
  }

  /** The next reply is being made; what is left of the one before is not said any more. */
  think() {
    this.speech.clear();
    this.coming = [];
    this.thinking = true;
  }

  #reach() {
    while (
      this.coming.length > 0 &&
      (!this.speech.speaking || this.speech.spoken > this.coming[0].at)
    ) {
      this.expression = this.coming.shift().face;
      this.hold = HOLD_S;
    }
  }

  /** The reply was stopped or thrown away: mouth shut, face at rest, at once. */
  drop() {
    this.think();
    this.thinking = false;
    this.relax();
  }

  relax() {
    this.expression = this.rest;
    this.hold = 0;
  }

  get mood() {
    if (this.speech.speaking) return "speaking";
    if (this.thinking) return "thinking";
    return this.expression === this.rest ? "resting" : "showing";
  }

  /**
   * @param {number} dt seconds since the last frame
   * @returns {{eyes: number, mouth: number, pose: number, x: number, y: number, turn: number,
   *            zoom: number}} lattice indices, then a shift and tilt (fraction of the frame, radians)
   */
  step(dt) {
    this.clock += dt;
    const open = this.speech.step(dt);
    this.#reach();
    if (this.hold > 0 && !this.speech.speaking) {
      this.hold -= dt;
      if (this.hold <= 0) this.relax();
    }
    if (!this.still) this.#glanceAround(dt);

    const { size, closedEyes } = this.lattice;
    const widest = size.mouth - 1;
    const speakTop = Math.max(1, widest - 1); // the widest frame is for cries, not for speech
    const lift = this.thinking ? 0.3 : 0;
    const lowest = closedEyes === 0 ? 1 : 0;
    this.eyes.target = clamp(this.expression.eyes + this.glance.eyes + lift, lowest, size.eyes - 1);
    this.mouth.target = this.speech.speaking
      ? clamp(AFTERGLOW * this.expression.mouth + SPEAK_STEPS * open, 0, speakTop)
      : this.#shownMouth();
    this.pose.target = clamp(this.expression.pose + this.glance.pose, 0, size.pose - 1);

    let eyes = this.eyes.step(dt);
    const lids = closedEyes === null || this.still ? 0 : this.blink.step(dt);
    if (closedEyes !== null) eyes += (closedEyes - eyes) * lids;
    const idle = this.still ? { x: 0, y: 0, turn: 0, zoom: 1 } : this.#sway();
    return { eyes, mouth: this.mouth.step(dt), pose: this.pose.step(dt), ...idle };
  }

  #shownMouth() {
    const { mouth } = this.expression;
    const cry = this.hold > HOLD_S - CRY_S;
    return cry ? mouth : this.rest.mouth + AFTERGLOW * (mouth - this.rest.mouth);
  }

  /** Breath and a slow sway, each of a pixel or two. */
  #sway() {
    const t = this.clock;
    const breath = Math.sin((2 * Math.PI * t) / 4.2);
    return {
      x: 0.004 * Math.sin(t / 3.1) + 0.002 * Math.sin(t / 1.3),
      y: 0.0022 * breath,
      turn: 0.006 * Math.sin(t / 4.7) + 0.003 * Math.sin(t / 2.3),
      zoom: 1.012 + 0.003 * breath,
    };
  }

  /** Now and then, while nothing else happens, she looks a little aside and comes back. */
  #glanceAround(dt) {
    const { glance } = this;
    glance.wait -= dt;
    if (glance.wait > 0) return;
    const busy = this.speech.speaking || this.thinking || this.expression !== this.rest;
    const away = glance.pose !== 0;
    const side = this.random() < 0.5 ? -this.aside : this.aside;
    glance.pose = !busy && !away && this.random() < 0.45 ? side : 0;
    glance.eyes = (this.random() - 0.5) * 0.3;
    glance.wait = glance.pose !== 0 ? 1.6 + 1.6 * this.random() : 3 + 5 * this.random();
  }
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
