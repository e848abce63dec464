/**
 * Mouth shapes from text: how far the mouth opens for each character, over time.
 *
 * A Hangul syllable block is onset + vowel + coda: code = 0xAC00 + (onset * 21 + vowel) * 28 + coda.
 * The vowel opens the mouth; a coda of the lips (ㅁ ㅂ ㅍ and clusters ending so) closes it again.
 */

const HANGUL_FIRST = 0xac00;
const HANGUL_LAST = 0xd7a3;

/** Openness 0..1 of the 21 vowels, in the order of Unicode: ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ */
const VOWELS = [
  1, 0.75, 1, 0.75, 0.8, 0.7, 0.8, 0.7, 0.6, 0.85, 0.7, 0.55, 0.6, 0.4, 0.65, 0.55, 0.35, 0.4, 0.3,
  0.35, 0.4,
];
const LIP_ONSETS = new Set([6, 7, 8, 17]); // ㅁ ㅂ ㅃ ㅍ
const LIP_CODAS = new Set([10, 14, 16, 17, 18, 26]); // ㄻ ㄿ ㅁ ㅂ ㅄ ㅍ

/**
 * @param {string} character one code point
 * @returns {{open: number, closesFirst: boolean, closesAfter: boolean, beats: number}}
 */
export function mouthShape(character) {
  const code = character.codePointAt(0) ?? 0;
  if (code >= HANGUL_FIRST && code <= HANGUL_LAST) {
    const offset = code - HANGUL_FIRST;
    return {
      open: VOWELS[Math.floor(offset / 28) % 21],
      closesFirst: LIP_ONSETS.has(Math.floor(offset / 588)),
      closesAfter: LIP_CODAS.has(offset % 28),
      beats: 1,
    };
  }
  if (/[aeiou]/i.test(character)) return shape(/[aeo]/i.test(character) ? 0.8 : 0.45, 0.6);
  if (/[\p{L}\p{N}]/u.test(character)) return shape(0.3, 0.5);
  if (/[.!?…。]/u.test(character)) return shape(0, 2.5);
  if (/\s/u.test(character)) return shape(0, 0.4);
  return shape(0, 0.2); // marks, emoji
}

function shape(open, beats) {
  return { open, closesFirst: false, closesAfter: false, beats };
}

const BEAT_S = 0.115; // one syllable at an easy pace
const LONGEST_S = 4; // a long reply that comes at once is not mouthed to its end

/** Characters wait here and are spoken one beat at a time; hurries when many wait. */
export class Speech {
  constructor() {
    this.clear();
  }

  get speaking() {
    return this.queue.length > 0 || this.left > 0;
  }

  /** @param {string} text */
  add(text) {
    for (const character of text) {
      const { open, closesFirst, closesAfter, beats } = mouthShape(character);
      const seconds = beats * BEAT_S;
      if (closesFirst) this.queue.push({ open: 0, seconds: 0.5 * seconds, spoken: 0 });
      this.queue.push({ open, seconds, spoken: 1 });
      if (closesAfter) this.queue.push({ open: 0, seconds: 0.5 * seconds, spoken: 0 });
    }
  }

  /** These characters of the reply were said before. @param {string} text */
  skip(text) {
    this.spoken += [...text].length;
  }

  /** Close the mouth now: the reply was stopped, or another begins. */
  clear() {
    /** @type {{open: number, seconds: number, spoken: number}[]} */
    this.queue = [];
    this.left = 0; // seconds of the shape now in the mouth
    this.open = 0;
    this.spoken = 0; // characters of the reply that the mouth has begun
  }

  /** @param {number} dt seconds @returns {number} how far the mouth should be open, 0..1 */
  step(dt) {
    let waiting = this.left;
    for (const item of this.queue) waiting += item.seconds;
    let time = dt * Math.max(1, waiting / LONGEST_S, waiting > 1.5 ? 1.3 : 1);
    while (time > 0 && (this.left > 0 || this.queue.length > 0)) {
      if (this.left <= 0) {
        const next = this.queue.shift();
        this.open = next.open;
        this.left = next.seconds;
        this.spoken += next.spoken;
      }
      const used = Math.min(time, this.left);
      this.left -= used;
      time -= used;
    }
    if (!this.speaking) this.open = 0;
    return this.open;
  }
}
