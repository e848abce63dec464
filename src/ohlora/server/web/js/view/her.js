/** Her face follows the conversation: what each event means for eyes, mouth, pose and mood. */

import { byId } from "../dom.js";
import { Lattice } from "../face/lattice.js";
import { Motion } from "../face/motion.js";
import { Sky } from "../face/sky.js";
import { Stage } from "../face/stage.js";
import { onLanguage, say } from "../i18n.js";
import { urlOf } from "../net/api.js";
import { prefs } from "../prefs.js";

/** At rest she looks at you with open eyes; mouth and pose are those of v1's neutral face. */
const REST = { eyes: 0.2, mouth: -1.2, pose: -1.2 };

export class Her {
  /**
   * @param {import("../talk/conversation.js").Conversation} conversation
   * @param {import("../face/lattice.js").Manifest} manifest
   */
  constructor(conversation, manifest) {
    this.canvas = byId("face");
    this.mood = byId("mood-text");
    this.connected = true;
    this.lattice = new Lattice(manifest, urlOf);
    const rest = this.lattice.point(REST);
    this.motion = new Motion(this.lattice, rest);
    this.sky = new Sky(byId("sky"));
    this.motion.still = this.sky.still = prefs.lessMotion;
    matchMedia("(prefers-reduced-motion: reduce)").addEventListener("change", (event) => {
      this.motion.still = this.sky.still = event.matches;
    });
    this.stage = new Stage(this.canvas, this.lattice, this.motion);
    this.stage.onMood = () => this.#showMood();
    this.lattice.load({ ...rest, eyes: Math.round(rest.eyes) });
    this.stage.start();
    this.sky.start();
    this.#showMood();
    this.#describe(REST);
    this.#follow(conversation);
    onLanguage(() => this.#showMood());
  }

  #follow(conversation) {
    const on = (name, react) => conversation.addEventListener(name, (e) => react(e.detail));
    on("said", () => this.#think());
    on("turn", ({ turn }) => !turn.over && this.#think());
    on("event", ({ turn, event }) => this.#event(turn, event));
    on("refused", () => this.#drop());
    on("opened", () => this.#drop());
    on("connection", ({ open }) => {
      this.connected = open;
      this.#showMood();
    });
  }

  #think() {
    this.lattice.pause(true);
    this.motion.think();
  }

  #drop() {
    this.lattice.pause(false);
    this.motion.drop();
    this.#describe(REST);
  }

  #event(turn, event) {
    if (event === null) return this.#drop();
    switch (event.type) {
      case "token":
        if (turn.replaying) this.motion.skip(event.text);
        else this.motion.say(event.text);
        break;
      case "expression":
        this.lattice.load(this.motion.show(event));
        this.#describe(event);
        break;
      case "done":
        this.lattice.pause(false);
        if (turn.status !== "complete") this.#drop();
        break;
      case "error":
        this.#drop();
        break;
    }
  }

  #showMood() {
    const mood = this.connected ? this.motion.mood : "offline";
    byId("mood").dataset.mood = mood;
    say(this.mood, "text", `mood.${mood}`);
  }

  /** What a picture says to those who do not see it. */
  #describe({ eyes, mouth, pose }) {
    const level = (value, low, high) => (value < low ? "low" : value < high ? "mid" : "high");
    const away = Math.abs(pose - REST.pose) > 1.5;
    this.canvas.dataset.expression = [eyes, mouth, pose].map((v) => v.toFixed(2)).join(" ");
    say(this.canvas, "label", [
      "face.description",
      {
        eyes: { key: `face.eyes.${level(eyes, -1.5, 0.6)}` },
        mouth: { key: `face.mouth.${level(mouth, -0.7, 0.6)}` },
        pose: { key: `face.pose.${away ? "away" : "straight"}` },
      },
    ]);
  }
}
