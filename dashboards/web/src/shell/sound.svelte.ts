/** The alarm that can be heard. A browser plays nothing until the page was touched, and the page says so. */

import { type Hearing, nextSound } from "../core/alarms";

const PITCHES_HZ = {
  /** Three rising pairs. */
  alarm: [740, 988, 740, 988, 740, 988],
  /** One low tone. */
  blind: [220],
  /** What an alarm will come out of. */
  armed: [880],
} as const;
const LENGTH_S = { alarm: 0.16, blind: 0.7, armed: 0.08 } as const;

class Sound {
  /** True only while the browser really plays. */
  armed = $state(false);
  #context: AudioContext | null = null;
  #hearing: Hearing = { news: false, waiting: false, blind: false, sounded_ms: null };
  #timer: ReturnType<typeof setTimeout> | undefined;

  async arm(): Promise<void> {
    if (this.#context === null) {
      const context = new AudioContext();
      context.onstatechange = () => (this.armed = context.state === "running");
      this.#context = context;
    }
    await this.#context.resume();
    this.armed = this.#context.state === "running";
    if (this.armed && !this.#hearing.waiting) this.#sound("armed");
    this.hear(this.#hearing.waiting ? { news: true } : {});
  }

  async disarm(): Promise<void> {
    await this.#context?.suspend();
    this.armed = false;
  }

  /** What there is to hear changed: it sounds as soon as it may, and again for as long as an alarm waits. */
  hear(change: Partial<Omit<Hearing, "sounded_ms">>): void {
    this.#hearing = { ...this.#hearing, ...change };
    clearTimeout(this.#timer);
    const next = this.armed ? nextSound(this.#hearing) : null;
    if (next === null) return;
    const in_ms = next.at_ms - performance.now();
    // At once without a timer: a hidden tab's timers are slow.
    if (in_ms <= 0) this.#sound(next.sound);
    else this.#timer = setTimeout(() => this.hear({}), in_ms);
  }

  #sound(which: keyof typeof PITCHES_HZ): void {
    this.#beeps(PITCHES_HZ[which], LENGTH_S[which]);
    this.#hearing = { ...this.#hearing, sounded_ms: performance.now() };
    if (which === "alarm") this.hear({ news: false });
    if (which === "blind") this.hear({ blind: false });
  }

  #beeps(pitches_hz: readonly number[], length_s: number): void {
    const context = this.#context;
    if (context === null || !this.armed) return;
    pitches_hz.forEach((pitch, i) => {
      const start = context.currentTime + i * length_s * 1.15;
      const tone = context.createOscillator();
      const gain = context.createGain();
      tone.type = "square";
      tone.frequency.value = pitch;
      // A ramp at both ends: a square edge clicks.
      gain.gain.setValueAtTime(0, start);
      gain.gain.linearRampToValueAtTime(0.25, start + 0.01);
      gain.gain.setValueAtTime(0.25, start + length_s - 0.02);
      gain.gain.linearRampToValueAtTime(0, start + length_s);
      tone.connect(gain).connect(context.destination);
      tone.start(start);
      tone.stop(start + length_s);
    });
  }
}

export const sound = new Sound();
